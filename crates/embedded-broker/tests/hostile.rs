//! Clients that mean harm, or are broken in the same way: bounds hold, and others get everything, in order.
//!
//! `UNIBUS_LONG=1` makes the numbers ten times as large.

mod memory;

use std::{env, net::SocketAddr, time::Duration};

use embedded_broker::{Authentication, Broker, BrokerConfig, Limits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    PATIENCE, RawClient, broker, eventually,
    raw_client::{message, publish},
    stop, subscribed,
    users::{User, Users},
};

fn many(usually: usize) -> usize {
    if env::var_os("UNIBUS_LONG").is_some() { usually * 10 } else { usually }
}

/// Two clients that want nothing but to talk to each other.
struct Bystanders {
    publisher: RawClient,
    subscriber: RawClient,
    sent: usize,
}

impl Bystanders {
    async fn new(address: SocketAddr) -> Self {
        let publisher = RawClient::quiet(address).await;
        let mut subscriber = RawClient::quiet(address).await;
        subscriber.send("SUB bystanders.* 1\r\n").await;
        subscriber.sync().await;
        Self { publisher, subscriber, sent: 0 }
    }

    /// A few messages arrive, each once and in order.
    async fn talk(&mut self) {
        for _ in 0..20 {
            let body = self.sent.to_string();
            self.sent += 1;
            self.publisher.send(&publish("bystanders.talk", &body)).await;
            self.subscriber.expect(&message("bystanders.talk", "1", &body)).await;
        }
        self.publisher.sync().await;
        self.subscriber.sync().await;
    }
}

async fn limited(limits: Limits) -> Broker {
    broker(BrokerConfig { limits, ..BrokerConfig::default() }).await
}

#[tokio::test]
async fn connections_that_never_log_in_go_and_give_their_places_back() {
    let limits =
        Limits { max_connections: 300, auth_timeout: Duration::from_millis(300), ..Limits::default() };
    let authentication = Authentication::By(Users::new([("ann", User::default())]));
    let broker = broker(BrokerConfig { limits, authentication, ..BrokerConfig::default() }).await;
    let login = "CONNECT {\"verbose\":false,\"user\":\"ann\",\"pass\":\"pw\"}\r\n";
    for _ in 0..2 {
        let mut half_open = Vec::new();
        for connection in 0..250 {
            let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
            stream.write_all(&login.as_bytes()[..connection % login.len()]).await.unwrap();
            half_open.push(stream);
        }
        let mut ann = RawClient::user(broker.local_addr(), "ann").await;
        ann.send("SUB a 1\r\nPUB a 2\r\nhi\r\n").await;
        ann.expect(&message("a", "1", "hi")).await;
        for mut stream in half_open {
            let mut seen = String::new();
            drop(
                tokio::time::timeout(PATIENCE, stream.read_to_string(&mut seen)).await.expect("it is closed"),
            );
            assert!(
                seen.starts_with("INFO ") && seen.ends_with("-ERR 'Authentication Timeout'\r\n"),
                "{seen}"
            );
        }
        eventually("one is left", || broker.connections().len() == 1).await;
        drop(ann);
        eventually("none is left", || broker.connections().is_empty()).await;
    }
    stop(broker).await;
}

#[tokio::test]
async fn subscriptions_by_the_hundred_thousand() {
    let broker = limited(Limits::default()).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let count = many(100_000);
    let mut client = RawClient::quiet(broker.local_addr()).await;
    for chunk in (0..count).collect::<Vec<_>>().chunks(10_000) {
        let lines: Vec<_> = chunk.iter().map(|sid| format!("SUB s.{sid}.* {sid}\r\n")).collect();
        client.send(&lines.concat()).await;
        bystanders.talk().await;
    }
    client.sync().await;
    assert_eq!(broker.stats().subscriptions, count + 1);
    let last = count - 1;
    bystanders.publisher.send(&publish(&format!("s.{last}.x"), "found")).await;
    client.expect(&message(&format!("s.{last}.x"), &last.to_string(), "found")).await;
    drop(client);
    bystanders.talk().await;
    subscribed(&broker, 1).await;
    bystanders.talk().await;
    stop(broker).await;
}

#[tokio::test]
async fn subscriptions_to_one_subject_by_the_hundred_thousand() {
    let broker = limited(Limits::default()).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let count = many(100_000);
    let mut client = RawClient::quiet(broker.local_addr()).await;
    for chunk in (0..count).collect::<Vec<_>>().chunks(10_000) {
        let lines: Vec<_> = chunk.iter().map(|sid| format!("SUB same {sid}\r\n")).collect();
        client.send(&lines.concat()).await;
        bystanders.talk().await;
    }
    client.sync().await;
    assert_eq!(broker.stats().subscriptions, count + 1);
    drop(client);
    bystanders.talk().await;
    subscribed(&broker, 1).await;
    stop(broker).await;
}

#[tokio::test]
async fn a_bound_on_subscriptions_holds() {
    let broker = limited(Limits { max_subscriptions: Some(100), ..Limits::default() }).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let mut client = RawClient::quiet(broker.local_addr()).await;
    for sid in 0..1000 {
        client.send(&format!("SUB s.{sid} {sid}\r\n")).await;
    }
    client.expect(&"-ERR 'maximum subscriptions exceeded'\r\n".repeat(900)).await;
    assert_eq!(broker.stats().subscriptions, 101);
    bystanders.talk().await;
    stop(broker).await;
}

#[tokio::test]
async fn subjects_of_thousands_of_tokens() {
    // About 4,000 tokens need a control line of 8,000 bytes.
    let broker = limited(Limits { max_control_line: 16 * 1024, ..Limits::default() }).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let mut client = RawClient::quiet(broker.local_addr()).await;
    let literal = vec!["a"; 4000].join(".");
    let filters = [
        literal.clone(),
        vec!["*"; 4000].join("."),
        vec!["a.*"; 2000].join("."),
        format!("{}.>", vec!["*"; 3999].join(".")),
    ];
    for (sid, filter) in filters.iter().enumerate() {
        client.send(&format!("SUB {filter} {sid}\r\n")).await;
        bystanders.talk().await;
    }
    client.sync().await;
    for _ in 0..10 {
        bystanders.publisher.send(&publish(&literal, "deep")).await;
        let mut received = Vec::new();
        for _ in &filters {
            let frame = client.frame().await.expect("a message");
            let line = frame.lines().next().unwrap_or_default();
            received.push(line.split(' ').nth(2).unwrap_or_default().to_owned());
        }
        received.sort_unstable();
        assert_eq!(received, ["0", "1", "2", "3"]);
        bystanders.talk().await;
    }
    for sid in 0..filters.len() {
        client.send(&format!("UNSUB {sid}\r\n")).await;
    }
    client.sync().await;
    bystanders.publisher.send(&publish(&literal, "nobody")).await;
    bystanders.talk().await;
    client.sync().await;
    assert_eq!(broker.stats().subscriptions, 1);
    stop(broker).await;
}

#[tokio::test]
async fn slow_readers_by_the_hundred() {
    let max_pending = 256 * 1024;
    let limits = Limits { max_pending, max_payload: 64 * 1024, ..Limits::default() };
    let broker = limited(limits).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut client = RawClient::open_with_small_buffer(broker.local_addr()).await;
        client.send("CONNECT {\"verbose\":false}\r\nSUB flood 1\r\n").await;
        client.sync().await;
        slow.push(client);
    }
    let mut fast = RawClient::quiet(broker.local_addr()).await;
    fast.send("SUB flood 1\r\n").await;
    fast.sync().await;
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    let filler = "x".repeat(32 * 1024);
    for sent in 0.. {
        if broker.stats().slow_consumers == 100 {
            break;
        }
        let body = format!("{sent} {filler}");
        publisher.send(&publish("flood", &body)).await;
        // The one who reads gets everything.
        fast.expect(&message("flood", "1", &body)).await;
        if sent % 20 == 0 {
            bystanders.talk().await;
            let pending = broker.connections().iter().map(|connection| connection.pending_bytes).max();
            assert!(pending.is_some_and(|pending| pending <= max_pending), "{pending:?}");
        }
        assert!(sent < 10_000, "the kernel takes it all?");
    }
    eventually("they are gone", || broker.connections().len() == 4).await;
    bystanders.talk().await;
    publisher.sync().await;
    fast.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn pings_without_reading_the_answers() {
    let limits = Limits { max_pending: 64 * 1024, max_payload: 1024, ..Limits::default() };
    let broker = limited(limits).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let mut flood = RawClient::open_with_small_buffer(broker.local_addr()).await;
    flood.send("CONNECT {\"verbose\":false}\r\n").await;
    let pings = "PING\r\n".repeat(10_000);
    for sent in 0.. {
        if broker.stats().slow_consumers == 1 {
            break;
        }
        // It stops taking them when it drops the connection.
        flood.send_regardless(pings.as_bytes()).await;
        bystanders.talk().await;
        assert!(sent < 10_000, "the kernel takes it all?");
    }
    eventually("it is gone", || broker.connections().len() == 2).await;
    bystanders.talk().await;
    stop(broker).await;
}

#[tokio::test]
async fn every_ping_of_a_flood_that_is_read_is_answered() {
    let broker = limited(Limits::default()).await;
    let mut bystanders = Bystanders::new(broker.local_addr()).await;
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    let count = many(200_000);
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(b"CONNECT {\"verbose\":false}\r\n").await.unwrap();
        for _ in 0..count / 1000 {
            writer.write_all("PING\r\n".repeat(1000).as_bytes()).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    let mut seen = String::new();
    let talk = async {
        for _ in 0..10 {
            bystanders.talk().await;
        }
    };
    let all = async { tokio::join!(write, reader.read_to_string(&mut seen), talk).1.unwrap() };
    tokio::time::timeout(PATIENCE, all).await.expect("time to answer");
    let answers = seen.split_once("\r\n").expect("INFO first").1;
    assert_eq!(answers.matches("PONG\r\n").count(), count);
    stop(broker).await;
}
