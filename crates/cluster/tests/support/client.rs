//! Clients that see what happens to them.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, Subscriber};
use busauth::client_config_from_ca_file;
use futures_util::StreamExt as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{io::AsyncReadExt as _, net::TcpStream, sync::mpsc};
use tokio_rustls::TlsConnector;

use super::{users::User, within};

/// A connection of a user, and what happens to it.
pub(crate) struct Connected {
    pub(crate) client: Client,
    events: mpsc::Receiver<Event>,
}

/// Connects as a user, once.
pub(crate) async fn connect(address: SocketAddr, user: &User) -> Result<Connected, async_nats::ConnectError> {
    connect_to(format!("nats://{address}"), ConnectOptions::with_nkey(user.seed()), user).await
}

/// The same where TLS is wanted.
pub(crate) async fn connect_by_tls(
    address: SocketAddr,
    user: &User,
    authority: &Path,
) -> Result<Connected, async_nats::ConnectError> {
    let options = ConnectOptions::with_nkey(user.seed())
        .require_tls(true)
        .tls_client_config(client_config_from_ca_file(authority).unwrap());
    connect_to(format!("tls://{address}"), options, user).await
}

/// The certificate that whoever connects is shown.
pub(crate) async fn shown_to_clients(address: SocketAddr, authority: &Path) -> CertificateDer<'static> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // What a server says of itself is one line.
    while within("what it says of itself", stream.read_u8()).await.unwrap() != b'\n' {}
    let config = Arc::new(client_config_from_ca_file(authority).unwrap());
    let name = ServerName::IpAddress(IpAddr::into(address.ip()));
    let stream = within("TLS", TlsConnector::from(config).connect(name, stream)).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn connect_to(
    url: String,
    options: ConnectOptions,
    user: &User,
) -> Result<Connected, async_nats::ConnectError> {
    let (sender, events) = mpsc::channel(256);
    let options = options
        .custom_inbox_prefix(format!("_INBOX.{}", user.principal))
        .connection_timeout(Duration::from_secs(10))
        .reconnect_delay_callback(|_| Duration::from_millis(20))
        .event_callback(move |event| {
            let sender = sender.clone();
            async move {
                sender.try_send(event).ok();
            }
        });
    let client = options.connect(url).await?;
    Ok(Connected { client, events })
}

impl Connected {
    /// Waits for something to happen; other things before it are passed over.
    pub(crate) async fn event(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) {
        within(what, async {
            while let Some(event) = self.events.recv().await {
                if wanted(&event) {
                    return;
                }
            }
            panic!("{what} did not come");
        })
        .await;
    }

    /// Whether something has happened that nobody has waited for.
    pub(crate) fn was_disconnected(&mut self) -> bool {
        std::iter::from_fn(|| self.events.try_recv().ok()).any(|event| matches!(event, Event::Disconnected))
    }

    pub(crate) async fn subscribe(&self, subject: &str) -> Subscriber {
        let subscriber = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.client.flush().await.unwrap();
        subscriber
    }
}

/// The next message.
pub(crate) async fn next(subscriber: &mut Subscriber) -> String {
    let message = within("a message", subscriber.next()).await.expect("the subscription is open");
    String::from_utf8(message.payload.to_vec()).unwrap()
}
