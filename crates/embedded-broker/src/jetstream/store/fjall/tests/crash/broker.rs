//! The same with a whole broker: what clients were answered holds after a kill or a power failure.

use super::{End, PowerLoss, Stdio, command};
use crate::{Broker, BrokerConfig, JetStream, JetStreamConfig};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

const DIRECTORY: &str = "UNIBUS_CRASH_BROKER";

/// Publishes in flight at once.
const WINDOW: u64 = 16;

/// Keys of the stream that keeps the last value of each.
const KEYS: u64 = 5;

/// Is only a test because it runs in this program: the broker that the others kill.
#[test]
fn broker_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let jetstream = JetStream::On(JetStreamConfig::in_directory(PathBuf::from(directory)));
        let broker = Broker::bind(BrokerConfig { jetstream, ..BrokerConfig::default() }).await.unwrap();
        println!("\nlistens {}", broker.local_addr());
        std::future::pending::<()>().await;
    });
}

/// A client that waits for each thing it does.
struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// A message that a client received.
struct Received {
    subject: String,
    reply: Option<String>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let writer = TcpStream::connect(address).unwrap();
        writer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        writer.set_nodelay(true).unwrap();
        let mut client = Self { reader: BufReader::new(writer.try_clone().unwrap()), writer };
        client.send("CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB in.> 1\r\n").unwrap();
        client
    }

    fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.writer.write_all(text.as_bytes())
    }

    fn publish(&mut self, subject: &str, reply: &str, body: &str) -> std::io::Result<()> {
        self.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len()))
    }

    /// The next message; `None` when the broker has ended.
    fn receive(&mut self) -> Option<Received> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["PING"] => self.send("PONG\r\n").ok()?,
                ["MSG" | "HMSG", subject, _, rest @ ..] => {
                    let size: usize = rest.last()?.parse().unwrap();
                    let with_reply = rest.len() == if words[0] == "MSG" { 2 } else { 3 };
                    let mut body = vec![0; size + 2];
                    self.reader.read_exact(&mut body).ok()?;
                    body.truncate(size);
                    let reply = with_reply.then(|| rest[0].to_owned());
                    return Some(Received { subject: (*subject).to_owned(), reply, body });
                }
                _ => {}
            }
        }
    }

    /// Asks the API and waits for the answer.
    fn ask(&mut self, subject: &str, body: &str) -> Option<String> {
        self.publish(&format!("$JS.API.{subject}"), "in.api", body).ok()?;
        loop {
            let received = self.receive()?;
            if received.subject == "in.api" {
                return Some(String::from_utf8(received.body).unwrap());
            }
        }
    }
}

/// What clients were answered, over all lives of the broker.
#[derive(Default)]
struct Promised {
    /// Body by sequence, of publishes that were acknowledged.
    stored: BTreeMap<u64, String>,
    /// Deletes that were asked for: these messages may be gone.
    deleting: BTreeSet<u64>,
    /// Deletes that were answered: these messages are gone.
    deleted: BTreeSet<u64>,
    /// Acknowledgements that were sent: these messages may not come again.
    acknowledging: BTreeSet<u64>,
    /// Acknowledgements that were answered: these messages do not come again.
    acknowledged: BTreeSet<u64>,
    /// Everything before this may be gone: a purge was asked for.
    purging: u64,
    /// The number of the next publish.
    next: u64,
    /// Of each key the number of the last value that was acknowledged, and of the last one that was sent.
    values: BTreeMap<u64, (u64, u64)>,
    /// The number of the last value.
    last_value: u64,
}

impl Promised {
    /// Publishes, deletes, purges, pulls and acknowledges until the broker ends.
    fn make(&mut self, address: SocketAddr, random: &mut StdRng) {
        let mut client = Client::connect(address);
        while self.step(&mut client, random).is_some() {}
    }

    fn step(&mut self, client: &mut Client, random: &mut StdRng) -> Option<()> {
        let first = self.next;
        for number in first..first + WINDOW {
            let body = format!("{number}:{}", "x".repeat(random.random_range(0..300)));
            client.publish(&format!("s.{}", number % 7), &format!("in.p.{number}"), &body).ok()?;
            self.next += 1;
            // In their order: one thread acknowledges.
            let answer = client.receive()?;
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.starts_with("{\"stream\":\"S\",\"seq\":"), "{text}");
            let seq = number_after(&text, "\"seq\":");
            assert!(
                self.stored.keys().next_back().is_none_or(|last| *last < seq),
                "{seq} was given away before"
            );
            self.stored.insert(seq, body);
        }
        for number in self.last_value + 1..=self.last_value + KEYS {
            // Some twice in a row, and not all equally often.
            let key = number * number % (KEYS + 2) % KEYS;
            self.last_value = number;
            let value = self.values.entry(key).or_default();
            value.1 = number;
            client.publish(&format!("k.{key}"), "in.k", &format!("value {number}")).ok()?;
            let answer = String::from_utf8(client.receive()?.body).unwrap();
            assert!(answer.starts_with("{\"stream\":\"K\",\"seq\":"), "{answer}");
            value.0 = number;
        }
        let seqs: Vec<u64> = self.stored.keys().copied().collect();
        match random.random_range(0..4) {
            0 => {
                let seq = seqs[random.random_range(0..seqs.len())];
                self.deleting.insert(seq);
                client.ask("STREAM.MSG.DELETE.S", &format!("{{\"seq\":{seq}}}"))?;
                self.deleted.insert(seq);
            }
            1 if random.random_range(0..10) == 0 => {
                self.purging = seqs[seqs.len() / 2];
                client.ask("STREAM.PURGE.S", &format!("{{\"seq\":{}}}", self.purging))?;
            }
            _ => self.consume(client)?,
        }
        Some(())
    }

    /// Pulls some messages and acknowledges every other one, each with an answer.
    fn consume(&mut self, client: &mut Client) -> Option<()> {
        client.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", "in.pull", "{\"batch\":8,\"no_wait\":true}").ok()?;
        let mut got = Vec::new();
        loop {
            let received = client.receive()?;
            let Some(reply) = received.reply else { break };
            got.push((token(&reply, 5), reply));
            if got.len() == 8 {
                break;
            }
        }
        for (seq, reply) in got.into_iter().step_by(2) {
            assert!(
                !self.acknowledged.contains(&seq),
                "{seq} came again although its acknowledgement was answered"
            );
            self.acknowledging.insert(seq);
            client.publish(&reply, "in.ack", "+ACK").ok()?;
            let answer = client.receive()?;
            assert_eq!(answer.subject, "in.ack");
            self.acknowledged.insert(seq);
        }
        Some(())
    }

    /// Looks at everything, on a broker that lives.
    fn verify(&mut self, address: SocketAddr, what: &str) {
        let mut client = Client::connect(address);
        for (seq, body) in &self.stored {
            let answer = client.ask("STREAM.MSG.GET.S", &format!("{{\"seq\":{seq}}}")).unwrap();
            if answer.contains("\"err_code\":10037") {
                let may_be_gone = self.deleting.contains(seq) || *seq < self.purging;
                assert!(may_be_gone, "{what}: {seq} is gone");
                continue;
            }
            assert!(!self.deleted.contains(seq), "{what}: {seq} is there although its delete was answered");
            let data = STANDARD.encode(body);
            assert!(
                answer.contains(&format!("\"data\":\"{data}\"")),
                "{what}: {seq} is another one: {answer}"
            );
        }
        self.stored.retain(|seq, _| *seq >= self.purging && !self.deleted.contains(seq));
        // What nobody acknowledged comes again or is still to come: it is not passed over.
        let info = client.ask("CONSUMER.INFO.S.C", "").unwrap();
        let floor = number_after(info.split("\"ack_floor\"").nth(1).unwrap(), "\"stream_seq\":");
        let done = |seq: &u64| {
            self.acknowledging.contains(seq) || self.deleting.contains(seq) || *seq < self.purging
        };
        let passed = self.stored.keys().find(|seq| **seq <= floor && !done(seq));
        assert_eq!(passed, None, "{what}: the consumer is at {floor}, and nobody acknowledged this");
        self.verify_values(&mut client, what);
    }

    /// Each key has one value: the last one that was acknowledged, or one that was sent since.
    fn verify_values(&self, client: &mut Client, what: &str) {
        let mut there = 0;
        for (key, (acknowledged, sent)) in &self.values {
            let asks = [r#""last_by_subj":"k."#, r#""seq":1,"next_by_subj":"k."#];
            let [last, first] =
                asks.map(|ask| client.ask("STREAM.MSG.GET.K", &format!("{{{ask}{key}\"}}")).unwrap());
            assert_eq!(last, first, "{what}: key {key} has one value");
            if *acknowledged == 0 && last.contains("\"err_code\":10037") {
                continue;
            }
            there += 1;
            let value = last.split("\"data\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let value = String::from_utf8(STANDARD.decode(value).unwrap()).unwrap();
            let number = number_after(&value, "value ");
            assert!((*acknowledged..=*sent).contains(&number), "{what}: key {key} has value {number}");
        }
        let info = client.ask("STREAM.INFO.K", "").unwrap();
        assert_eq!(number_after(&info, "\"messages\":"), there, "{what}: {info}");
    }
}

fn number_after(text: &str, word: &str) -> u64 {
    let rest = &text[text.find(word).unwrap() + word.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().unwrap()
}

fn token(subject: &str, at: usize) -> u64 {
    subject.split('.').nth(at).unwrap().parse().unwrap()
}

fn start(directory: &Path, power: Option<&PowerLoss>) -> (Child, SocketAddr) {
    let mut child = command(std::env::current_exe().unwrap());
    let name = concat!(module_path!(), "::broker_that_is_killed");
    let name = name.split_once("::").unwrap().1;
    child
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped());
    if let Some(power) = power {
        power.apply_to(&mut child);
    }
    let mut child = child.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listens ").map(|address| address.parse().unwrap()))
        .expect("the broker starts");
    (child, address)
}

fn rounds(end: End) {
    let rounds = if std::env::var_os("UNIBUS_LONG").is_some() { 100 } else { 10 };
    let work = tempfile::tempdir().unwrap();
    let directory = work.path().join("streams");
    std::fs::create_dir(&directory).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let power = PowerLoss::prepare(work.path(), &directory, &mut command(compiler))
        .expect("the power loss library needs a C compiler: install one, or name it in CC");
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let mut promised = Promised::default();
    for round in 0..rounds {
        let what = format!("{end:?}, round {round} (seed {seed})");
        let (mut child, address) = start(&directory, (end == End::PowerLoss).then_some(&power));
        if round == 0 {
            let mut client = Client::connect(address);
            let stream = "{\"name\":\"S\",\"subjects\":[\"s.>\"]}";
            assert!(client.ask("STREAM.CREATE.S", stream).unwrap().contains("did_create"));
            let stream = "{\"name\":\"K\",\"subjects\":[\"k.>\"],\"max_msgs_per_subject\":1}";
            assert!(client.ask("STREAM.CREATE.K", stream).unwrap().contains("did_create"));
            let consumer = "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"C\",\"ack_policy\":\"explicit\",\"ack_wait\":1000000000,\"max_ack_pending\":-1}}";
            assert!(client.ask("CONSUMER.CREATE.S.C", consumer).unwrap().contains("num_pending"));
        }
        promised.verify(address, &what);
        std::thread::scope(|scope| {
            let (promised, random) = (&mut promised, &mut random);
            let lives = Duration::from_millis(random.random_range(20..400));
            let load = scope.spawn(move || promised.make(address, random));
            // Somewhere in the middle of something.
            std::thread::sleep(lives);
            child.kill().unwrap();
            let status = child.wait().unwrap();
            assert!(status.code().is_none(), "the broker ended by itself: {status}");
            load.join().unwrap();
        });
        if end == End::PowerLoss {
            power.strike(&mut random, child.id()).unwrap();
        }
        power.forget().unwrap();
    }
    let (mut child, address) = start(&directory, None);
    promised.verify(address, &format!("{end:?}, at the end (seed {seed})"));
    child.kill().unwrap();
    child.wait().unwrap();
    let counts = (promised.next, promised.deleted.len(), promised.acknowledged.len());
    println!("{rounds} ends; published, deleted, acknowledged: {counts:?}");
    assert!(promised.next > 0);
}

#[test]
fn what_clients_were_answered_holds_when_the_broker_is_killed() {
    rounds(End::Kill);
}

#[test]
fn what_clients_were_answered_holds_when_the_power_fails() {
    rounds(End::PowerLoss);
}
