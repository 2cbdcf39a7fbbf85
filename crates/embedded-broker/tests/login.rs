//! Logging in with an nkey: on the listener for the host, and through an authenticator.

use std::sync::Arc;

use busauth::Identity;
use embedded_broker::{Authentication, Broker, BrokerConfig, Internal};
use futures_util::StreamExt;

use crate::support::{PATIENCE, RawClient, broker, logins::OneKey, stop, subscribed};

async fn nkey_broker(identity: &Identity) -> Broker {
    let authentication = Authentication::By(Arc::new(OneKey(identity.login_key())));
    broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await
}

fn nonce(client: &RawClient) -> String {
    let info: serde_json::Value = serde_json::from_str(&client.info).unwrap();
    assert_eq!(info["auth_required"], true);
    info["nonce"].as_str().expect("a nonce").to_owned()
}

fn connect(nkey: &str, signature: &str) -> String {
    format!("CONNECT {{\"verbose\":false,\"nkey\":\"{nkey}\",\"sig\":\"{signature}\"}}\r\n")
}

#[tokio::test]
async fn the_right_key_gets_in() {
    let identity = Identity::generate();
    let broker = nkey_broker(&identity).await;
    let mut client = RawClient::open(broker.local_addr()).await;
    let nonce = nonce(&client);
    assert_eq!(nonce.len(), 15);
    let signature = identity.answer_nonce(&nonce).unwrap();
    client.send(&connect(&identity.login_key().to_string(), &signature.to_string())).await;
    client.sync().await;
    let principal = broker.connections()[0].principal.clone();
    assert_eq!(principal.expect("logged in").as_str(), identity.login_key().to_string());
    stop(broker).await;
}

#[tokio::test]
async fn every_wrong_answer_is_the_same_violation() {
    let (identity, stranger) = (Identity::generate(), Identity::generate());
    let broker = nkey_broker(&identity).await;
    let key = identity.login_key().to_string();
    let first_nonce = nonce(&RawClient::open(broker.local_addr()).await);
    for case in 0..6 {
        let mut client = RawClient::open(broker.local_addr()).await;
        let nonce = nonce(&client);
        assert_ne!(nonce, first_nonce);
        let own = identity.answer_nonce(&nonce).unwrap().to_string();
        let connect = match case {
            0 => connect(
                &stranger.login_key().to_string(),
                &stranger.answer_nonce(&nonce).unwrap().to_string(),
            ),
            1 => connect(&key, &stranger.answer_nonce(&nonce).unwrap().to_string()),
            2 => connect(&key, &identity.answer_nonce(&first_nonce).unwrap().to_string()),
            3 => connect(&key, "AAAA"),
            4 => connect("UNOTAKEY", &own),
            _ => connect(&stranger.login_key().to_string(), &own),
        };
        client.send(&connect).await;
        client.expect("-ERR 'Authorization Violation'\r\n").await;
        client.expect_closed().await;
    }
    assert_eq!(broker.stats().login_failures, 6);
    stop(broker).await;
}

#[tokio::test]
async fn an_answer_cannot_be_used_on_another_connection() {
    let identity = Identity::generate();
    let broker = nkey_broker(&identity).await;
    let mut first = RawClient::open(broker.local_addr()).await;
    let signature = identity.answer_nonce(&nonce(&first)).unwrap().to_string();
    let connect = connect(&identity.login_key().to_string(), &signature);
    first.send(&connect).await;
    first.sync().await;
    let mut second = RawClient::open(broker.local_addr()).await;
    second.send(&connect).await;
    second.expect("-ERR 'Authorization Violation'\r\n").await;
    stop(broker).await;
}

#[tokio::test]
async fn a_later_connect_keeps_the_login_unless_it_names_another() {
    let identity = Identity::generate();
    let broker = nkey_broker(&identity).await;
    let mut client = RawClient::open(broker.local_addr()).await;
    let signature = identity.answer_nonce(&nonce(&client)).unwrap().to_string();
    client.send(&connect(&identity.login_key().to_string(), &signature)).await;
    client.sync().await;
    client.send("CONNECT {\"echo\":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n").await;
    client.sync().await;
    client.send(&connect(&identity.login_key().to_string(), "AAAA")).await;
    client.expect("-ERR 'Authorization Violation'\r\n").await;
    client.expect_closed().await;
    stop(broker).await;
}

#[tokio::test]
async fn the_host_listener_takes_one_key_only() {
    let (host, stranger) = (Identity::generate(), Identity::generate());
    let authentication = Authentication::By(Arc::new(OneKey(stranger.login_key())));
    let internal = Internal::Listener { nkey: host.login_key() };
    let broker = broker(BrokerConfig { authentication, internal, ..BrokerConfig::default() }).await;
    let url = broker.internal_url().unwrap();
    assert!(url.starts_with("nats://127.0.0.1:"), "{url}");

    let refused =
        async_nats::ConnectOptions::with_nkey(stranger.login_seed().to_string()).connect(&url).await;
    assert!(refused.is_err(), "a stranger on the host's listener");
    let outside = async_nats::ConnectOptions::with_nkey(host.login_seed().to_string());
    assert!(outside.connect(broker.client_url()).await.is_err(), "the host's key on the clients' listener");

    let inside =
        async_nats::ConnectOptions::with_nkey(host.login_seed().to_string()).connect(&url).await.unwrap();
    let client = async_nats::ConnectOptions::with_nkey(stranger.login_seed().to_string());
    let client = client.connect(broker.client_url()).await.unwrap();
    let mut everything = inside.subscribe(">").await.unwrap();
    subscribed(&broker, 1).await;
    client.publish("a.b", "x".into()).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, everything.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "a.b");
    let internal: Vec<_> = broker.connections().iter().map(|connection| connection.internal).collect();
    assert_eq!(internal, [true, false]);
    stop(broker).await;
}
