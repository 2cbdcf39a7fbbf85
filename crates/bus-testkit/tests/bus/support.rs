//! Waiting for what a connection is told, never for time to pass.

use std::future::Future;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Event, Message, Subscriber};
use bus_testkit::TestBus;
use busauth::{Identity, UserId};
use futures_util::StreamExt;
use tokio::sync::mpsc;

/// Long enough for a slow machine; what does not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection and what it reports about itself.
pub(crate) struct Watched {
    pub(crate) client: Client,
    user: UserId,
    events: mpsc::Receiver<Event>,
}

impl Watched {
    /// Connects with an nkey, as any NATS client does.
    pub(crate) async fn connect(bus: &TestBus, identity: &Identity) -> Self {
        let (tell, events) = mpsc::channel(64);
        let client = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
            .custom_inbox_prefix(format!("_INBOX_{}", identity.id()))
            .max_reconnects(1)
            .event_callback(move |event| {
                let tell = tell.clone();
                async move { drop(tell.send(event).await) }
            })
            .connect(bus.nats_url())
            .await
            .unwrap();
        Self { client, user: identity.id(), events }
    }

    /// Waits for a permissions error that names this operation and subject.
    pub(crate) async fn refused(&mut self, what: &str) {
        loop {
            let event = self.event(what).await;
            if let Event::ServerError(error) = &event {
                let text = error.to_string();
                assert!(
                    text.to_lowercase().contains("permissions violation") && text.contains(what),
                    "waiting for a refusal of {what}: {text}"
                );
                return;
            }
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn disconnected(&mut self) {
        while !matches!(self.event("disconnect").await, Event::Disconnected | Event::Closed) {}
    }

    async fn event(&mut self, what: &str) -> Event {
        within(what, self.events.recv()).await.unwrap_or_else(|| panic!("the connection ended before {what}"))
    }

    /// Subscribes, and returns when the server has dealt with it.
    pub(crate) async fn subscribe(&self, subject: &str) -> Subscriber {
        let subscriber = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.settle().await;
        subscriber
    }

    /// Publishes, and returns when the server has dealt with it.
    pub(crate) async fn publish(&self, subject: &str, payload: &str) {
        self.client.publish(subject.to_owned(), payload.to_owned().into()).await.unwrap();
        self.settle().await;
    }

    /// A round trip: what was sent before has been dealt with. Nobody answers such requests yet, and the
    /// server says so.
    pub(crate) async fn settle(&self) {
        let nowhere = format!("unibus.rpc.{}.nothing", self.user);
        let answer = within("answer", self.client.request(nowhere, "".into())).await;
        assert_eq!(answer.unwrap_err().kind(), RequestErrorKind::NoResponders);
    }
}

/// The next message, as text.
pub(crate) async fn next(subscriber: &mut Subscriber) -> String {
    text(&within("message", subscriber.next()).await.expect("the subscription ended"))
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} in time"))
}
