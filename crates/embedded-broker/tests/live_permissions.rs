//! Live changes of access on a bus with many users and connections, under load.
//!
//! `UNIBUS_LONG=1` is the full size: 100,000 users and 10,000 connections, or as many as files may be open.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use busauth::Principal;
use embedded_broker::{Authentication, Broker, BrokerConfig};
use tokio::{sync::watch, task::JoinSet};

use crate::support::{
    RawClient, broker,
    raw_client::{message, publish},
    stop,
    users::{User, Users},
};

struct Size {
    users: usize,
    connections: usize,
    changes: usize,
}

impl Size {
    fn of_this_run() -> Self {
        if std::env::var_os("UNIBUS_LONG").is_some() {
            Self { users: 100_000, connections: 10_000.min(open_files() / 2 - 100), changes: 500 }
        } else {
            Self { users: 5000, connections: 300, changes: 60 }
        }
    }
}

/// How many files this process may have open; a connection takes two, since both of its ends are here.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

/// Messages in one write of the publisher.
const BATCH: usize = 200;

/// Everybody may hear the news, until they may not.
fn reader() -> User {
    User { publish: Some(vec!["nothing"]), subscribe: Some(vec!["news", "else.*"]), ..User::default() }
}

fn shut_out() -> User {
    User { subscribe: Some(vec!["else.*"]), ..reader() }
}

fn name(number: usize) -> String {
    format!("user-{number}")
}

/// A publisher that sends numbered messages as fast as they are taken, until told to stop. Answers how many.
async fn publish_all(mut publisher: RawClient, stop: watch::Receiver<bool>) -> usize {
    let mut sent = 0;
    while !*stop.borrow() {
        let batch: String = (sent..sent + BATCH).map(|number| publish("news", &number.to_string())).collect();
        publisher.send(&batch).await;
        // Subscribers that share this machine with the publisher must have a chance.
        publisher.sync().await;
        sent += BATCH;
    }
    sent
}

/// A witness: it keeps its rights and must hear every message once and in order. Reads up to the end.
async fn hear_everything(mut witness: RawClient) -> usize {
    let mut heard = 0;
    loop {
        let frame = witness.frame().await.expect("a frame");
        if frame == message("end", "2", "") {
            return heard;
        }
        assert_eq!(frame, message("news", "1", &heard.to_string()));
        heard += 1;
    }
}

async fn change(broker: &Broker, users: &Users, who: &str, user: &User) -> Duration {
    users.set(who, user);
    let principal = [Principal::new(who)];
    let before = Instant::now();
    broker.access_changed(&principal).await;
    before.elapsed()
}

/// Users lose and regain a right while everybody is sent messages at full speed. Nothing leaks to them after the
/// call has returned, and nobody else misses anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_and_nothing_is_lost_while_rights_change() {
    let size = Size::of_this_run();
    let names: Vec<String> = (0..size.users).map(name).collect();
    let everybody = names.iter().map(|name| (name.as_str(), reader()));
    let users = Users::new(everybody.chain([("root", User::default())]));
    let authentication = Authentication::By(Arc::clone(&users) as Arc<_>);
    let broker = broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await;
    let address = broker.local_addr();

    // Most are connected and quiet; some of them are the ones whose rights change.
    let mut quiet = Vec::new();
    for number in 0..size.connections {
        let mut client = RawClient::user(address, &names[number % size.users]).await;
        client.send(&format!("SUB else.{number} 1\r\n")).await;
        client.sync().await;
        quiet.push(client);
    }
    let mut witnesses = JoinSet::new();
    for _ in 0..3 {
        let mut witness = RawClient::user(address, "root").await;
        witness.send("SUB news 1\r\nSUB end 2\r\n").await;
        witness.sync().await;
        witnesses.spawn(hear_everything(witness));
    }
    let (stop_publishing, stopped) = watch::channel(false);
    let mut publisher = JoinSet::new();
    publisher.spawn(publish_all(RawClient::user(address, "root").await, stopped));

    let mut marker = RawClient::user(address, "root").await;
    let mut took = Vec::new();
    for round in 0..size.changes {
        let who = round * 7 % size.connections;
        let client = &mut quiet[who];
        client.send("SUB news 2\r\n").await;
        let frame = client.frame().await.expect("a frame");
        assert!(frame.starts_with("MSG news 2 "), "it hears the news: {frame}");
        took.push(change(&broker, &users, &names[who], &shut_out()).await);
        // Published when the call had returned: what comes behind it would be a leak.
        marker.send(&publish(&format!("else.{who}"), "")).await;
        marker.sync().await;
        hear_the_end(client).await;
        took.push(change(&broker, &users, &names[who], &reader()).await);
    }

    stop_publishing.send(true).unwrap();
    let sent: usize = publisher.join_all().await.into_iter().sum();
    marker.send("PUB end 0\r\n\r\n").await;
    marker.sync().await;
    assert_eq!(witnesses.join_all().await, [sent; 3], "each witness heard everything");
    let times = percentiles(&mut took);
    println!(
        "{sent} messages and {} connections during {} changes, which took {times:?}",
        quiet.len(),
        took.len()
    );
    drop(quiet);
    stop(broker).await;
}

/// News, the refusal, and then nothing but the marker.
async fn hear_the_end(client: &mut RawClient) {
    let refusal = "-ERR 'Permissions Violation for Subscription to \"news\" (sid \"2\")'\r\n";
    let mut refused = false;
    loop {
        let frame = client.frame().await.expect("a frame");
        if frame == refusal {
            refused = true;
        } else if frame.starts_with("MSG else.") {
            assert!(refused, "the marker came before the refusal");
            return client.sync().await;
        } else {
            assert!(frame.starts_with("MSG news ") && !refused, "after the refusal: {frame}");
        }
    }
}

fn percentiles(times: &mut [Duration]) -> BTreeMap<&'static str, Duration> {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    BTreeMap::from([("1 median", at(50)), ("2 p99", at(99)), ("3 max", at(100))])
}
