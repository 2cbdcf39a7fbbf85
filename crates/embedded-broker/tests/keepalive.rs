//! PINGs of the server.

use std::time::Duration;

use embedded_broker::{BrokerConfig, Limits};

use crate::support::{QUIET, RawClient, broker, eventually, stop};

#[tokio::test]
async fn a_client_that_does_not_answer_is_stale() {
    let limits = Limits { ping_interval: Duration::from_millis(50), ping_max: 2, ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    let mut client = RawClient::open(broker.local_addr()).await;
    client.show_pings = true;
    client.send(QUIET).await;
    client.expect("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n").await;
    client.expect_closed().await;
    stop(broker).await;
}

#[tokio::test]
async fn a_client_that_answers_stays_and_its_round_trip_is_known() {
    let limits = Limits { ping_interval: Duration::from_millis(20), ping_max: 200, ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    let mut client = RawClient::open(broker.local_addr()).await;
    client.show_pings = true;
    client.send(QUIET).await;
    for _ in 0..6 {
        client.expect("PING\r\n").await;
        client.send("PONG\r\n").await;
    }
    eventually("the round trip is known", || broker.connections().iter().all(|client| client.rtt.is_some()))
        .await;
    stop(broker).await;
}
