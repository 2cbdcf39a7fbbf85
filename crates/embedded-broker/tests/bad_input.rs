//! What no client should send: the connection answers or ends as documented, and nobody else notices.

use crate::support::{RawClient, broker_and_client, stop};

#[tokio::test]
async fn subjects_that_are_no_utf8_are_refused_one_by_one() {
    let (broker, mut client) = broker_and_client().await;
    client.send_bytes(b"SUB f\xff 1\r\n").await;
    client.expect("-ERR 'Invalid Subject'\r\n").await;
    client.send_bytes(b"PUB f\xff 2\r\nhi\r\n").await;
    client.expect("-ERR 'Invalid Publish Subject'\r\n").await;
    client.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn payloads_may_hold_anything() {
    let (broker, mut client) = broker_and_client().await;
    client.send("SUB any 1\r\n").await;
    let payload: Vec<u8> = (0..=255).collect();
    client.send_bytes(&[b"PUB any 256\r\n".as_slice(), &payload, b"\r\n"].concat()).await;
    let frame = client.frame().await.expect("the message");
    assert!(frame.starts_with("MSG any 1 256\r\n"), "{frame}");
    client.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn frames_cut_off_at_any_byte_leave_nothing_behind() {
    let (broker, mut other) = broker_and_client().await;
    let frames = "SUB cut 1\r\nHPUB cut reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 1 5\r\n";
    for end in 0..frames.len() {
        let mut client = RawClient::modern(broker.local_addr()).await;
        client.send(&frames[..end]).await;
        drop(client);
    }
    crate::support::eventually("they left", || {
        broker.connections().len() == 1 && broker.stats().subscriptions == 0
    })
    .await;
    other.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn frames_that_arrive_byte_by_byte_work() {
    let (broker, _) = broker_and_client().await;
    let mut client = RawClient::modern(broker.local_addr()).await;
    for byte in b"SUB slow 1\r\nHPUB slow 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" {
        client.send_bytes(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect("HMSG slow 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n").await;
    stop(broker).await;
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let (broker, mut client) = broker_and_client().await;
    client.send("SUB large 1\r\n").await;
    let body = "0123456789abcdef".repeat(64 * 1024);
    client.send(&crate::support::raw_client::publish("large", &body)).await;
    client.expect(&crate::support::raw_client::message("large", "1", &body)).await;
    client.send(&crate::support::raw_client::publish("large", "small again")).await;
    client.expect(&crate::support::raw_client::message("large", "1", "small again")).await;
    stop(broker).await;
}
