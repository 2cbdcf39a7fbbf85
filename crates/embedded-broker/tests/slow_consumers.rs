//! Clients that do not read: they are dropped, without a word, and nobody else is held up.

use std::time::Duration;

use embedded_broker::{BrokerConfig, Limits};

use crate::support::{
    RawClient, broker, eventually,
    raw_client::{message, publish},
    stop,
};

#[tokio::test]
async fn too_many_bytes_waiting() {
    let limits = Limits { max_pending: 256 * 1024, max_payload: 64 * 1024, ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    let mut slow = RawClient::open_with_small_buffer(broker.local_addr()).await;
    slow.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n").await;
    slow.sync().await;
    let mut fast = RawClient::quiet(broker.local_addr()).await;
    fast.send("SUB a 1\r\n").await;
    fast.sync().await;
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    let body = "x".repeat(32 * 1024);
    let mut sent = 0;
    while broker.stats().slow_consumers == 0 {
        publisher.send(&publish("a", &body)).await;
        sent += 1;
        // The one who reads gets everything.
        fast.expect(&message("a", "1", &body)).await;
        assert!(sent < 10_000, "the kernel takes it all?");
    }
    eventually("it was dropped", || broker.connections().len() == 2).await;
    publisher.sync().await;
    fast.sync().await;
    // What it had been sent arrives, then the end: no -ERR.
    while let Some(frame) = slow.frame().await {
        assert!(frame.starts_with("MSG a 1 "), "{frame}");
    }
    stop(broker).await;
}

#[tokio::test]
async fn no_byte_taken_for_too_long() {
    let limits = Limits { write_deadline: Duration::from_millis(200), ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    let mut slow = RawClient::open_with_small_buffer(broker.local_addr()).await;
    slow.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n").await;
    slow.sync().await;
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    let message = publish("a", &"x".repeat(500_000));
    for _ in 0..40 {
        publisher.send(&message).await;
    }
    publisher.sync().await;
    eventually("it was dropped", || broker.stats().slow_consumers == 1).await;
    eventually("it is gone", || broker.connections().len() == 1).await;
    publisher.sync().await;
    drop(slow);
    stop(broker).await;
}

#[tokio::test]
async fn a_publisher_waits_for_its_own_echo_without_blocking_itself() {
    let limits = Limits { max_pending: 512 * 1024, max_payload: 64 * 1024, ..Limits::default() };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    let mut client = RawClient::quiet(broker.local_addr()).await;
    client.send("SUB a 1\r\n").await;
    let body = "x".repeat(60 * 1024);
    for _ in 0..100 {
        client.send(&publish("a", &body)).await;
        client.expect(&message("a", "1", &body)).await;
    }
    client.sync().await;
    stop(broker).await;
}
