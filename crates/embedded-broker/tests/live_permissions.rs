//! Live changes of access on a bus with many users and connections, under load.
//!
//! `UNIBUS_LONG=1` is the full size: 100,000 users, 10,000 connections and 50,000 messages a second, or as many as
//! files may be open and the machine can do; it prints what it was.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use busauth::Principal;
use embedded_broker::{Authentication, Broker, BrokerConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::support::{
    PATIENCE, RawClient, broker,
    child::{self, Child},
    open_files,
    raw_client::{message, publish},
    stop,
    users::{User, Users},
};

struct Size {
    users: usize,
    connections: usize,
    changes: usize,
    /// Messages in one write of the publisher, which writes once in [`TICK`].
    batch: usize,
}

/// Connections whose rights change; the client ends of all others are in a process of their own, because each end is
/// an open file.
const CHANGING: usize = 100;

/// Files besides connections: listeners, the runtime, standard streams.
const OTHER_FILES: usize = 200;

/// Time between two writes of the publisher.
const TICK: Duration = Duration::from_millis(4);

/// How far a witness may be behind before the publisher waits for it.
const LEAD: usize = 100_000;

impl Size {
    fn of_this_run() -> Self {
        if std::env::var_os("UNIBUS_LONG").is_some() {
            let wanted = 10_000;
            let files = open_files::allow(wanted + CHANGING + OTHER_FILES);
            let connections = wanted.min(files - CHANGING - OTHER_FILES);
            Self { users: 100_000, connections, changes: 500, batch: 200 }
        } else {
            Self { users: 5000, connections: 300, changes: 60, batch: 20 }
        }
    }
}

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

/// A publisher that sends numbered messages by the clock until told to stop. Answers how many, and how many a second.
async fn publish_all(
    mut publisher: RawClient,
    batch: usize,
    witnesses: Vec<Arc<Semaphore>>,
    stop: watch::Receiver<bool>,
) -> (usize, u128) {
    let (mut sent, began) = (0, Instant::now());
    let mut clock = interval(TICK);
    // What is late is made up for.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !*stop.borrow() {
        clock.tick().await;
        for witness in &witnesses {
            let lead = tokio::time::timeout(PATIENCE, witness.acquire_many(batch as u32)).await;
            lead.expect("the witness hears on").expect("never closed").forget();
        }
        let mut bytes = Vec::with_capacity(batch * 32);
        (sent..sent + batch).for_each(|number| write_news(&mut bytes, "PUB news ", number));
        publisher.send_bytes(&bytes).await;
        sent += batch;
    }
    publisher.sync().await;
    (sent, sent as u128 * 1000 / began.elapsed().as_millis().max(1))
}

/// The message with this number, as it is sent or as it comes.
fn write_news(bytes: &mut Vec<u8>, head: &str, number: usize) {
    let digits = number.checked_ilog10().unwrap_or(0) + 1;
    write!(bytes, "{head}{digits}\r\n{number}\r\n").unwrap();
}

/// A witness: it keeps its rights and must hear every message once and in order. Reads up to the end.
async fn hear_everything(witness: RawClient, heard_so_far: Arc<Semaphore>) -> usize {
    let (end, ping) = (message("end", "2", ""), b"PING\r\n");
    let mut stream = witness.into_stream();
    let (mut heard, mut bytes, mut expected) = (0, Vec::new(), Vec::new());
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await.expect("time to hear");
        assert!(read.expect("reads") > 0, "the witness was disconnected after {heard} messages");
        let (mut at, before) = (0, heard);
        loop {
            let rest = &bytes[at..];
            expected.clear();
            write_news(&mut expected, "MSG news 1 ", heard);
            if rest.starts_with(&expected) {
                (at, heard) = (at + expected.len(), heard + 1);
            } else if rest.starts_with(ping) {
                at += ping.len();
                stream.write_all(b"PONG\r\n").await.expect("writes");
            } else if rest == end.as_bytes() {
                return heard;
            } else {
                let begun =
                    [expected.as_slice(), end.as_bytes(), ping].iter().any(|frame| frame.starts_with(rest));
                assert!(begun, "not message {heard}: {}", rest.escape_ascii());
                break;
            }
        }
        bytes.drain(..at);
        heard_so_far.add_permits(heard - before);
    }
}

/// Connects as this user, who hears about something that nobody says.
async fn quiet_client(address: SocketAddr, number: usize) -> RawClient {
    let mut client = RawClient::user(address, &name(number)).await;
    client.send(&format!("SUB else.{number} 1\r\n")).await;
    client.sync().await;
    client
}

/// Not a test by itself: the process with the client ends of those who are only there.
#[tokio::test]
async fn the_quiet_ones() {
    let Some(part) = child::part() else { return };
    let words: Vec<&str> = part.split(' ').collect();
    let [address, first, last] = words[..] else { panic!("{part}") };
    let (address, first, last): (SocketAddr, usize, usize) =
        (address.parse().unwrap(), first.parse().unwrap(), last.parse().unwrap());
    open_files::allow(last - first + OTHER_FILES);
    let mut clients = Vec::new();
    for number in first..last {
        clients.push(quiet_client(address, number).await);
    }
    child::say("ready");
    assert_eq!(child::told(), None);
    drop(clients);
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
    let part = format!("{address} {CHANGING} {}", size.connections);
    let mut others = Child::start("live_permissions::the_quiet_ones", &part);
    let mut changing = Vec::new();
    for number in 0..CHANGING {
        changing.push(quiet_client(address, number).await);
    }
    assert_eq!(others.line(), "ready");
    let connections = broker.connections().len();
    assert_eq!(connections, size.connections);

    let mut witnesses = JoinSet::new();
    let mut heard = Vec::new();
    for _ in 0..3 {
        let mut witness = RawClient::user(address, "root").await;
        witness.send("SUB news 1\r\nSUB end 2\r\n").await;
        witness.sync().await;
        heard.push(Arc::new(Semaphore::new(LEAD)));
        witnesses.spawn(hear_everything(witness, Arc::clone(&heard[heard.len() - 1])));
    }
    let (stop_publishing, stopped) = watch::channel(false);
    let mut publisher = JoinSet::new();
    publisher.spawn(publish_all(RawClient::user(address, "root").await, size.batch, heard, stopped));

    let mut marker = RawClient::user(address, "root").await;
    let mut took = Vec::new();
    for round in 0..size.changes {
        let who = round * 7 % CHANGING;
        let client = &mut changing[who];
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
    let (sent, a_second) = publisher.join_all().await[0];
    marker.send("PUB end 0\r\n\r\n").await;
    marker.sync().await;
    assert_eq!(witnesses.join_all().await, [sent; 3], "each witness heard everything");
    let times = percentiles(&mut took);
    println!(
        "{sent} messages, {a_second} a second, {} users and {connections} connections during {} changes, \
         which took {times:?}",
        size.users,
        took.len()
    );
    drop((changing, others));
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
