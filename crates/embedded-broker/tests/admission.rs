//! Binding, opening, and what INFO says.

use std::time::Duration;

use busauth::Identity;
use embedded_broker::{Admission, BindError, Broker, BrokerConfig, Internal, Limits};

use crate::support::{RawClient, broker, stop};

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let first = broker(BrokerConfig::default()).await;
    let taken = BrokerConfig { listen: first.local_addr(), ..BrokerConfig::default() };
    let error = Broker::bind(taken).await.expect_err("the port is taken");
    assert!(matches!(&error, BindError::Listen { address, .. } if *address == first.local_addr()), "{error}");
    assert!(error.to_string().contains(&first.local_addr().to_string()), "{error}");
    stop(first).await;
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_refused() {
    let limits = Limits { max_payload: 2000, max_pending: 1000, ..Limits::default() };
    let error =
        Broker::bind(BrokerConfig { limits, ..BrokerConfig::default() }).await.expect_err("contradiction");
    assert!(matches!(error, BindError::Limits(_)), "{error}");
}

#[tokio::test]
async fn nobody_is_let_in_before_opening_but_the_host() {
    let host = Identity::generate();
    let config = BrokerConfig {
        admission: Admission::WhenOpened,
        internal: Internal::Listener { nkey: host.login_key() },
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let internal = broker.internal_url().expect("there is an internal listener");
    let internal = internal.strip_prefix("nats://").unwrap().parse().unwrap();
    assert_ne!(broker.local_addr(), internal);
    // The host is let in: INFO comes.
    let inside = RawClient::open(internal).await;
    // A client connects, since the port is bound, and hears nothing.
    let stream = tokio::net::TcpStream::connect(broker.local_addr()).await.unwrap();
    let mut early = RawClient::on(stream);
    let nothing = tokio::time::timeout(Duration::from_millis(100), early.frame()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    broker.open();
    early.expect_info().await;
    early.send("CONNECT {\"verbose\":false}\r\n").await;
    early.sync().await;
    drop(inside);
    stop(broker).await;
}

#[tokio::test]
async fn info_says_what_clients_need() {
    let config = BrokerConfig {
        server_name: Some("here".to_owned()),
        advertise: vec!["bus.example:4222".to_owned()],
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let client = RawClient::open(broker.local_addr()).await;
    let info: serde_json::Value = serde_json::from_str(&client.info).unwrap();
    let server_id = info["server_id"].as_str().unwrap();
    assert!(server_id.len() == 56 && server_id.starts_with('N'), "{server_id}");
    assert_eq!(info["server_name"], "here");
    assert_eq!(info["proto"], 1);
    assert_eq!(info["headers"], true);
    assert_eq!(info["max_payload"], 1024 * 1024);
    assert_eq!(info["port"], broker.local_addr().port());
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert_eq!(info["connect_urls"], serde_json::json!(["bus.example:4222"]));
    for absent in ["auth_required", "tls_required", "nonce", "ldm", "jetstream"] {
        assert!(info.get(absent).is_none(), "{absent} in {info}");
    }
    stop(broker).await;
}
