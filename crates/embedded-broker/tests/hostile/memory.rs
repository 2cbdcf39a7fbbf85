//! The same, with the broker in a process of its own: its memory stays inside the configured bounds, and others hardly
//! notice.
//!
//! Memory is the process's, at its peak. How long two bystanders' messages take beside that is printed when the
//! numbers are large (`UNIBUS_LONG=1`); it depends on the machine, so it is not asserted.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use embedded_broker::{BrokerConfig, Limits};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::watch,
    task::{JoinSet, spawn_blocking},
};

use super::many;
use crate::support::{
    RawClient, broker,
    child::{self, Child},
    open_files,
    raw_client::{message, publish},
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a process may grow by whatever happens: the allocator's own, threads' stacks, and code that runs for the
/// first time.
const SLACK: usize = 16 * MIB;

/// What a connection may take besides what waits for it: its task, and the buffer it reads into.
const CONNECTION: usize = 64 * KIB;

/// Not a test by itself: the process that is nothing but a broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker() {
    let Some(part) = child::part() else { return };
    let mut limits = Limits::default();
    for (bound, value) in part.split(' ').filter_map(|word| word.split_once('=')) {
        let value = value.parse().unwrap();
        match bound {
            "pending" => limits.max_pending = value,
            "payload" => limits.max_payload = value,
            "line" => limits.max_control_line = value,
            "subscriptions" => limits.max_subscriptions = Some(value),
            "login_ms" => limits.auth_timeout = Duration::from_millis(value as u64),
            other => panic!("{other}"),
        }
    }
    open_files::allow(4096);
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    child::say(&broker.local_addr().to_string());
    while spawn_blocking(child::told).await.unwrap().is_some() {
        let stats = broker.stats();
        child::say(&format!("{} {}", stats.slow_consumers, broker.connections().len()));
    }
}

/// The process, and two clients that want nothing but to talk to each other.
struct Scene {
    process: Child,
    address: SocketAddr,
    before: usize,
    quiet: Duration,
    done: watch::Sender<bool>,
    talk: JoinSet<Vec<Duration>>,
}

impl Scene {
    async fn new(bounds: &str) -> Self {
        let mut process = Child::start("hostile::memory::the_broker", bounds);
        let address = process.line().parse().unwrap();
        let (done, until) = watch::channel(true);
        let quiet = p99(talk(address, many(100), until).await);
        let (done_later, until) = watch::channel(false);
        drop(done);
        let mut talking = JoinSet::new();
        talking.spawn(talk(address, 1, until));
        let before = process.resident();
        Self { process, address, before, quiet, done: done_later, talk: talking }
    }

    /// Slow consumers so far, and connections open now.
    fn state(&mut self) -> (u64, usize) {
        let answer = self.process.ask("?");
        let (slow, connections) = answer.split_once(' ').unwrap();
        (slow.parse().unwrap(), connections.parse().unwrap())
    }

    /// Everything the bystanders said arrived, and the process never had more than `bound` besides what it began with.
    async fn end(mut self, what: &str, bound: usize) {
        self.done.send(true).unwrap();
        let during = p99(self.talk.join_next().await.unwrap().expect("the bystanders got through"));
        let grown = self.process.peak().saturating_sub(self.before);
        if std::env::var_os("UNIBUS_LONG").is_some() {
            let ratio = during.as_secs_f64() / self.quiet.as_secs_f64();
            println!(
                "{what}: {} KiB of {} KiB; bystanders' p99 {during:?}, {ratio:.1} times the quiet {:?}",
                grown / KIB,
                bound / KIB,
                self.quiet
            );
        }
        assert!(grown <= bound, "{what}: {grown} bytes more, {bound} are allowed");
    }
}

/// Messages from one to the other, each once and in order, at least so many and until told; answers how long each took.
async fn talk(address: SocketAddr, at_least: usize, done: watch::Receiver<bool>) -> Vec<Duration> {
    let mut publisher = RawClient::quiet(address).await;
    let mut subscriber = RawClient::quiet(address).await;
    subscriber.send("SUB bystanders.* 1\r\n").await;
    subscriber.sync().await;
    let mut took = Vec::new();
    while took.len() < at_least || !*done.borrow() {
        let body = took.len().to_string();
        let before = Instant::now();
        publisher.send(&publish("bystanders.talk", &body)).await;
        subscriber.expect(&message("bystanders.talk", "1", &body)).await;
        took.push(before.elapsed());
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[(took.len() - 1) * 99 / 100]
}

#[tokio::test]
async fn slow_readers_take_what_may_wait_for_them() {
    let (readers, pending) = (many(20), 256 * KIB);
    open_files::allow(4096);
    let mut scene = Scene::new(&format!("pending={pending} payload={}", 64 * KIB)).await;
    let mut slow = Vec::new();
    for _ in 0..readers {
        let mut client = RawClient::open_with_small_buffer(scene.address).await;
        client.send("CONNECT {\"verbose\":false}\r\nSUB flood 1\r\n").await;
        client.sync().await;
        slow.push(client);
    }
    let mut publisher = RawClient::quiet(scene.address).await;
    let flood = publish("flood", &"x".repeat(32 * KIB));
    for sent in 0.. {
        publisher.send(&flood).await;
        publisher.sync().await;
        if scene.state().0 == readers as u64 {
            break;
        }
        assert!(sent < 10_000, "the kernel takes it all?");
    }
    scene.end("slow readers", readers * (pending + CONNECTION) + SLACK).await;
}

#[tokio::test]
async fn pings_that_nobody_reads_the_answers_of_take_what_may_wait() {
    let pending = 64 * KIB;
    let mut scene = Scene::new(&format!("pending={pending} payload=1024")).await;
    let pings = "PING\r\n".repeat(10_000);
    for gone in 1..=many(2) as u64 {
        let mut flood = RawClient::open_with_small_buffer(scene.address).await;
        flood.send("CONNECT {\"verbose\":false}\r\n").await;
        for sent in 0.. {
            flood.send_regardless(pings.as_bytes()).await;
            if scene.state().0 == gone {
                break;
            }
            assert!(sent < 10_000, "the kernel takes it all?");
        }
    }
    scene.end("PING floods", pending + CONNECTION + SLACK).await;
}

#[tokio::test]
async fn connections_that_never_log_in_take_little() {
    let count = many(100);
    open_files::allow(4096);
    let mut scene = Scene::new("login_ms=60000").await;
    let mut half_open = Vec::new();
    for connection in 0..count {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        stream.write_all(&b"CONNECT {\"verbose\""[..connection % 18]).await.unwrap();
        half_open.push(stream);
    }
    while scene.state().1 < count + 2 {
        tokio::task::yield_now().await;
    }
    scene.end("half-open connections", count * CONNECTION + SLACK).await;
}

#[tokio::test]
async fn a_line_without_an_end_takes_what_a_line_may() {
    let count = many(20);
    let scene = Scene::new(&format!("line={}", 4 * KIB)).await;
    for _ in 0..count {
        let mut client = RawClient::quiet(scene.address).await;
        for _ in 0..100 {
            client
                .send_regardless("SUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(100).as_bytes())
                .await;
        }
    }
    scene.end("lines without an end", count * CONNECTION + SLACK).await;
}

#[tokio::test]
async fn subscriptions_up_to_the_bound() {
    let bound = many(20_000);
    let scene = Scene::new(&format!("subscriptions={bound}")).await;
    let mut client = RawClient::quiet(scene.address).await;
    let refused = "-ERR 'maximum subscriptions exceeded'\r\n".repeat(1000);
    for first in (0..2 * bound).step_by(1000) {
        let lines: Vec<_> = (first..first + 1000).map(|sid| format!("SUB s.{sid}.* {sid}\r\n")).collect();
        client.send(&lines.concat()).await;
        if first >= bound {
            client.expect(&refused).await;
        } else {
            client.sync().await;
        }
    }
    // A node of the index for each token, the subscription itself, and its entry at the connection.
    scene.end("subscriptions", bound * KIB + SLACK).await;
}

#[tokio::test]
async fn subjects_of_thousands_of_tokens_take_memory_by_the_token() {
    let (filters, tokens) = (many(4), 4000);
    let scene = Scene::new(&format!("line={}", 32 * KIB)).await;
    let mut client = RawClient::quiet(scene.address).await;
    for sid in 0..filters {
        let filter = vec![format!("a{sid}"); tokens].join(".");
        client.send(&format!("SUB {filter} {sid}\r\nPUB {filter} 0\r\n\r\n")).await;
        client.expect(&message(&filter, &sid.to_string(), "")).await;
    }
    scene.end("long subjects", filters * tokens * KIB / 2 + SLACK).await;
}
