//! What the tests share: a client that speaks raw protocol, users, and brokers.

pub(crate) mod child;
pub(crate) mod logins;
pub(crate) mod nats_server;
pub(crate) mod open_files;
mod pki;
pub(crate) mod raw_client;
pub(crate) mod users;

use std::time::Duration;

use embedded_broker::{Broker, BrokerConfig};

pub(crate) use pki::Pki;
pub(crate) use raw_client::RawClient;

/// Long enough for a machine that is busy with something else, short enough to wait for once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// CONNECT of a quiet client of today: headers, no responders, protocol 1.
pub(crate) const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n";

/// CONNECT of the simplest quiet client.
pub(crate) const QUIET: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

pub(crate) async fn broker(config: BrokerConfig) -> Broker {
    Broker::bind(config).await.expect("the broker binds")
}

/// A broker with default settings and a raw client that has connected quietly.
pub(crate) async fn broker_and_client() -> (Broker, RawClient) {
    let broker = broker(BrokerConfig::default()).await;
    let client = RawClient::quiet(broker.local_addr()).await;
    (broker, client)
}

/// Shuts down and checks that nothing had to be cut off.
pub(crate) async fn stop(broker: Broker) {
    let shutdown = broker.shutdown(PATIENCE).await;
    assert_eq!(shutdown.aborted, 0, "{shutdown:?}");
}

/// Waits until something observable holds. For states that no message announces.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Waits until the broker knows so many subscriptions: a client library sends them when it likes.
pub(crate) async fn subscribed(broker: &Broker, count: usize) {
    eventually("subscribed", || broker.stats().subscriptions == count).await;
}
