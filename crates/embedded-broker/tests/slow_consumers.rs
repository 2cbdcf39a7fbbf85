//! Clients that do not read: they are dropped, without a word, and nobody else is held up.

use std::time::Duration;

use embedded_broker::{BrokerConfig, JetStream, JetStreamConfig, Limits};

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

#[tokio::test]
async fn a_batch_of_direct_gets_waits_for_who_asked_and_for_nobody_else() {
    const MESSAGES: usize = 500;
    let limits = Limits { max_pending: 8 * 1024 * 1024, ..Limits::default() };
    let jetstream = JetStream::On(JetStreamConfig::in_memory());
    let broker = broker(BrokerConfig { limits, jetstream, ..BrokerConfig::default() }).await;
    let mut other = RawClient::modern(broker.local_addr()).await;
    other.send("SUB o 1\r\n").await;
    let stream = r#"{"name":"S","subjects":["s"],"storage":"memory","allow_direct":true}"#;
    other.send(&format!("PUB $JS.API.STREAM.CREATE.S o {}\r\n{stream}\r\n", stream.len())).await;
    let created = other.frame().await.unwrap();
    assert!(!created.contains("\"error\""), "{created}");
    let body = "x".repeat(64 * 1024);
    for _ in 0..MESSAGES {
        other.send(&format!("PUB s o {}\r\n{body}\r\n", body.len())).await;
        other.frame().await.unwrap();
    }
    let ask = format!(r#"{{"seq":1,"batch":{MESSAGES}}}"#);
    let ask = |to: &str| format!("PUB $JS.API.DIRECT.GET.S {to} {}\r\n{ask}\r\n", ask.len());
    let mut slow = RawClient::open_with_small_buffer(broker.local_addr()).await;
    slow.send("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB r 1\r\n").await;
    slow.sync().await;
    slow.send(&ask("r")).await;
    // All of this is much more than may wait for the one that does not read, and the other one gets it.
    for _ in 0..2 {
        other.send(&ask("o")).await;
        read_batch(&mut other, MESSAGES).await;
    }
    read_batch(&mut slow, MESSAGES).await;
    assert_eq!(broker.stats().slow_consumers, 0);
    stop(broker).await;
}

/// Reads a whole batch, and its end.
async fn read_batch(client: &mut RawClient, messages: usize) {
    for seq in 1..=messages {
        let frame = client.frame().await.expect("it is not dropped");
        assert!(frame.contains(&format!("Nats-Sequence: {seq}\r\n")), "{:?}", frame.get(..300));
    }
    let end = client.frame().await.unwrap();
    assert!(end.contains("204 EOB"), "{end}");
}
