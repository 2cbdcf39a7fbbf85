//! Bounds that only this broker has, or that are not visible on the wire. The others are cases.

use std::time::Duration;

use busauth::Identity;
use embedded_broker::{BrokerConfig, Internal, JetStream, JetStreamConfig, Limits};

use crate::support::{RawClient, broker, eventually, stop};

#[tokio::test]
async fn places_are_given_back() {
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    for round in 0..5 {
        let first = RawClient::quiet(broker.local_addr()).await;
        let second = RawClient::quiet(broker.local_addr()).await;
        let mut third = RawClient::open(broker.local_addr()).await;
        third.expect("-ERR 'maximum connections exceeded'\r\n").await;
        third.expect_closed().await;
        assert_eq!(broker.stats().refused_connections, round + 1);
        drop((first, second));
        eventually("they left", || broker.connections().is_empty()).await;
    }
    stop(broker).await;
}

#[tokio::test]
async fn clients_cannot_shut_the_host_out() {
    let host = Identity::generate();
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let internal = Internal::Listener { nkey: host.login_key() };
    let broker = broker(BrokerConfig { limits, internal, ..BrokerConfig::default() }).await;
    let _client = RawClient::quiet(broker.local_addr()).await;
    let url = broker.internal_url().unwrap();
    let options = async_nats::ConnectOptions::with_nkey(host.login_seed().to_string());
    let inside = options.connect(url).await.expect("the host has its own places");
    assert_eq!(broker.stats().connections, 2);
    drop(inside);
    stop(broker).await;
}

#[tokio::test]
async fn a_control_line_without_an_end_is_bounded_for_every_verb() {
    let broker = broker(BrokerConfig::default()).await;
    for verb in ["PING ", "CONNECT ", "INFO ", "PUB ", "UNSUB "] {
        let mut client = RawClient::open(broker.local_addr()).await;
        client.send(verb).await;
        client.send_regardless(&[b'a'; 5000]).await;
        client.expect("-ERR 'maximum control line exceeded'\r\n").await;
        client.expect_closed().await;
    }
    stop(broker).await;
}

#[tokio::test]
async fn clients_that_ask_for_nothing_do_not_need_a_login_in_time() {
    let limits = Limits { auth_timeout: Duration::from_millis(50), ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    let mut client = RawClient::open(broker.local_addr()).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    client.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn who_asks_the_api_faster_than_it_answers_is_slowed_down_and_loses_nothing() {
    const REQUESTS: usize = 30_000;
    let jetstream = JetStream::On(JetStreamConfig::in_memory());
    let broker = broker(BrokerConfig { jetstream, ..BrokerConfig::default() }).await;
    let mut client = RawClient::modern(broker.local_addr()).await;
    client.send("SUB i 1\r\n").await;
    let requests = "PUB $JS.API.STREAM.INFO.NONE i 0\r\n\r\n".repeat(REQUESTS / 10);
    for _ in 0..10 {
        client.send(&requests).await;
    }
    for _ in 0..REQUESTS {
        let answer = client.frame().await.unwrap();
        assert!(answer.contains("stream not found"), "{answer}");
    }
    stop(broker).await;
}
