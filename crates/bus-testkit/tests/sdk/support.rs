//! People on a bus, and waiting for what they are told.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus_client::{
    Bus, BusConfig, BusRole, Confirm, Event, Events, Message, MessageError, Room, RoomDraft, RoomRole,
    StateStore, Subscription, Tuning, UserRef,
};
use bus_testkit::TestBus;
use busauth::Identity;

/// Long enough for a slow machine; what does not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// No waiting before a rekey, and no look at the server that no event asked for.
pub(crate) fn tuning() -> Tuning {
    Tuning { rekey_delay: Duration::ZERO, refresh_interval: Duration::from_hours(1), ..Tuning::default() }
}

pub(crate) fn config(bus: &TestBus, identity: &Arc<Identity>) -> BusConfig {
    bus.client_config(identity).with_tuning(tuning())
}

/// Connects through the bus's lying proxy, which tells the truth until told otherwise.
pub(crate) fn lied_to(bus: &TestBus, identity: &Arc<Identity>) -> BusConfig {
    BusConfig::new(bus.proxy().unwrap().url(), identity.clone()).with_tuning(tuning())
}

pub(crate) fn remembering(config: BusConfig, directory: &Path) -> BusConfig {
    config.with_state(StateStore::directory(directory).unwrap())
}

/// A member of the bus and a connection as that member.
pub(crate) struct Person {
    pub(crate) identity: Arc<Identity>,
    pub(crate) bus: Bus,
}

impl Person {
    pub(crate) async fn join(bus: &TestBus, handle: &str) -> Self {
        let identity = bus.admit(handle, BusRole::Member).await.unwrap();
        let client = Bus::connect(config(bus, &identity)).await.unwrap();
        Self { identity, bus: client }
    }

    pub(crate) fn id(&self) -> UserRef {
        UserRef::Id(self.identity.id())
    }

    pub(crate) async fn creates(&self, subject: &str) -> Room {
        self.bus.create_room(RoomDraft::new(subject.parse().unwrap())).await.unwrap()
    }
}

/// Alice's encrypted room `lab.sensors` with bob as a writer in it, both looking at it.
pub(crate) struct Lab {
    pub(crate) bus: TestBus,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) at_alice: Room,
    pub(crate) at_bob: Room,
}

pub(crate) const SUBJECT: &str = "lab.sensors";

impl Lab {
    pub(crate) async fn open() -> Self {
        Self::on(TestBus::start().await.unwrap()).await
    }

    pub(crate) async fn on(bus: TestBus) -> Self {
        let alice = Person::join(&bus, "alice").await;
        let bob = Person::join(&bus, "bob").await;
        let at_alice = alice.creates(SUBJECT).await;
        at_alice.add(&bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
        let at_bob = bob.bus.room(SUBJECT).await.unwrap();
        Self { bus, alice, bob, at_alice, at_bob }
    }

    pub(crate) async fn stop(self) {
        let Self { bus, alice, bob, at_alice, at_bob } = self;
        drop((at_alice, at_bob));
        alice.bus.shutdown().await.unwrap();
        bob.bus.shutdown().await.unwrap();
        bus.stop().await.unwrap();
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} in time"))
}

/// The next item, whatever it is.
pub(crate) async fn item(messages: &mut Subscription) -> Result<Message, MessageError> {
    within("message", messages.next()).await.expect("the subscription ended")
}

/// The next item, which is a message.
pub(crate) async fn message(messages: &mut Subscription) -> Message {
    item(messages).await.expect("a message")
}

/// The next item, which is a refusal.
pub(crate) async fn refusal(messages: &mut Subscription) -> MessageError {
    item(messages).await.expect_err("a refusal")
}

pub(crate) fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).expect("text")
}

/// Waits for an event of this kind and passes the others over.
pub(crate) async fn event(events: &mut Events, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
    within(what, async {
        loop {
            let event = events.next().await.expect("the bus is connected");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

/// Subscribes with a stock client and returns when the bus has dealt with it: nobody answers this request, and the bus
/// says so.
pub(crate) async fn tap(client: &async_nats::Client, subject: &str, nobody: &str) -> async_nats::Subscriber {
    let subscriber = client.subscribe(subject.to_owned()).await.unwrap();
    within("answer", client.request(nobody.to_owned(), "".into())).await.unwrap_err();
    subscriber
}

/// A subject on which the service identity finds nobody.
pub(crate) const NOBODY: &str = "nobody.listens.here";
