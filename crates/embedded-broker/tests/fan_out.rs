//! Many subscriptions on one subject.

use embedded_broker::BrokerConfig;

use crate::support::{RawClient, broker, raw_client::publish, stop};

#[tokio::test]
async fn everybody_gets_every_message_in_order() {
    const SUBSCRIPTIONS: usize = 100;
    const MESSAGES: usize = 500;
    let broker = broker(BrokerConfig::default()).await;
    let mut subscribers = Vec::new();
    for _ in 0..4 {
        let mut subscriber = RawClient::quiet(broker.local_addr()).await;
        for sid in 0..SUBSCRIPTIONS / 4 {
            subscriber.send(&format!("SUB news {sid}\r\n")).await;
        }
        subscriber.sync().await;
        subscribers.push(subscriber);
    }
    // Far more deliveries than one batch does.
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    let all: String = (0..MESSAGES).map(|n| publish("news", &format!("{n:05}"))).collect();
    publisher.send(&all).await;
    publisher.sync().await;
    for subscriber in &mut subscribers {
        subscriber.send("PING\r\n").await;
        let mut next = [0; SUBSCRIPTIONS / 4];
        loop {
            let frame = subscriber.frame().await.expect("a frame");
            if frame == "PONG\r\n" {
                break;
            }
            let (head, body) = frame.split_once("\r\n").expect("a message");
            let sid: usize = head.split(' ').nth(2).and_then(|sid| sid.parse().ok()).expect("a number");
            assert_eq!(body.trim_end().parse(), Ok(next[sid]), "on {sid}");
            next[sid] += 1;
        }
        assert_eq!(next, [MESSAGES; SUBSCRIPTIONS / 4]);
    }
    assert_eq!(broker.stats().sent_messages, (SUBSCRIPTIONS * MESSAGES) as u64);
    stop(broker).await;
}
