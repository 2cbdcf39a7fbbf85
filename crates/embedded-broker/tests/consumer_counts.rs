//! How much there is for a consumer is counted when it is made and kept in step from then on, whatever happens to the
//! stream meanwhile: clients take the count for the end of what was there.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use embedded_broker::{Broker, BrokerConfig, JetStream, JetStreamConfig};
use serde_json::Value;

use crate::support::{RawClient, broker, raw_client::publish, stop};

/// A client that listens for answers, on a subject of its own.
struct Asking(RawClient, String);

impl Asking {
    async fn open(broker: &Broker, inbox: String) -> Self {
        let mut client = RawClient::modern(broker.local_addr()).await;
        client.send(&format!("SUB {inbox} 1\r\n")).await;
        client.sync().await;
        Self(client, inbox)
    }

    async fn send(&mut self, subject: &str, body: &str) {
        let Self(client, inbox) = self;
        client.send(&format!("PUB {subject} {inbox} {}\r\n{body}\r\n", body.len())).await;
    }

    async fn ask(&mut self, subject: &str, body: &str) -> Value {
        self.send(subject, body).await;
        let answer = self.0.frame().await.unwrap();
        let (_, body) = answer.trim_end().split_once("\r\n").unwrap();
        let answer: Value = serde_json::from_str(body).unwrap();
        assert!(answer.get("error").is_none(), "{subject}: {answer}");
        answer
    }

    async fn pending(&mut self, consumer: &str) -> u64 {
        let info = self.ask(&format!("$JS.API.CONSUMER.INFO.S.{consumer}"), "").await;
        info["num_pending"].as_u64().unwrap()
    }

    /// Pulls what there is, up to so many; answers how much each message says is left after it.
    async fn pull(&mut self, consumer: &str, most: usize) -> Vec<u64> {
        let body = format!(r#"{{"batch":{},"no_wait":true}}"#, most.min(1_000_000));
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.S.{consumer}");
        self.send(&subject, &body).await;
        let mut left = Vec::new();
        while left.len() < most {
            let frame = self.0.frame().await.unwrap();
            let Some(subject) = frame.split(' ').find(|word| word.starts_with("$JS.ACK.")) else {
                assert!(frame.contains("404 No Messages"), "{frame}");
                return left;
            };
            left.push(subject.rsplit('.').next().unwrap().parse().unwrap());
        }
        left
    }
}

/// Configurations of consumers that begin in different ways.
const KINDS: [&str; 6] = [
    r#""deliver_policy":"all""#,
    r#""deliver_policy":"all","filter_subject":"s.1""#,
    r#""deliver_policy":"all","filter_subject":"s.never""#,
    r#""deliver_policy":"last_per_subject","filter_subject":"s.>""#,
    r#""deliver_policy":"new""#,
    r#""deliver_policy":"by_start_sequence","opt_start_seq":100,"filter_subjects":["s.3","s.7"]"#,
];

async fn counts_hold(storage: &str, limits: &str) {
    let jetstream = JetStream::On(JetStreamConfig::in_memory());
    let broker = broker(BrokerConfig { jetstream, ..BrokerConfig::default() }).await;
    let mut asking = Asking::open(&broker, "inbox".to_owned()).await;
    let stream = format!(r#"{{"name":"S","subjects":["s.>"],"storage":"{storage}",{limits}}}"#);
    asking.ask("$JS.API.STREAM.CREATE.S", &stream).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..2 {
        let mut client = Asking::open(&broker, format!("inbox.{writer}")).await;
        let done = Arc::clone(&done);
        writers.spawn(async move {
            for batch in 0.. {
                if done.load(SeqCst) {
                    break;
                }
                let key = |at: usize| format!("s.{}", (batch * 7 + at + writer) % 50);
                client.0.send(&(0..100).map(|at| publish(&key(at), "x")).collect::<String>()).await;
                client.ask(&key(100), "x").await;
            }
        });
    }
    let mut names = Vec::new();
    for round in 0..10 {
        for (kind, config) in KINDS.iter().enumerate() {
            let name = format!("C{round}_{kind}");
            let consumer = format!(
                r#"{{"stream_name":"S","config":{{"durable_name":"{name}","ack_policy":"none",{config}}}}}"#
            );
            asking.ask(&format!("$JS.API.CONSUMER.CREATE.S.{name}"), &consumer).await;
            names.push(name);
        }
        // They read while it goes on.
        for name in &names[names.len() - KINDS.len()..] {
            let _left = asking.pull(name, 50).await;
        }
    }
    done.store(true, SeqCst);
    writers.join_all().await;
    // Everything is written when this is answered.
    asking.ask("s.0", "last").await;
    for name in names {
        let pending = asking.pending(&name).await;
        let left = asking.pull(&name, usize::MAX).await;
        let expected: Vec<u64> = (0..pending).rev().collect();
        assert_eq!(left, expected, "{name}");
        assert_eq!(asking.pending(&name).await, 0, "{name}");
    }
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_each_message_replaces_the_one_before() {
    counts_hold("file", r#""max_msgs_per_subject":1"#).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_oldest_message_makes_room() {
    counts_hold("memory", r#""max_msgs":100"#).await;
}
