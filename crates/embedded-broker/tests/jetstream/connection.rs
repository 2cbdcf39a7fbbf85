//! A connection whose messages are sorted by subscription, so that what the server may send in any order is compared
//! in one.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::timeout;

use super::messages::{Message, parse};
use crate::support::RawClient;

/// The subscription to the inboxes of requests.
const REQUESTS: usize = 1;

pub(super) struct Connection {
    raw: RawClient,
    /// Begins the subjects of its inboxes.
    prefix: String,
    /// How long it waits for something that has to come.
    patience: Duration,
    subscriptions: HashMap<String, Subscription>,
    /// What came and was not taken, by number of the subscription.
    waiting: HashMap<usize, VecDeque<Message>>,
    /// Reply subjects of the last messages, by name of the subscription.
    replies: HashMap<String, String>,
    errors: VecDeque<String>,
    pongs: usize,
    next: usize,
    requests: usize,
}

struct Subscription {
    sid: usize,
    subject: String,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, prefix: String, patience: Duration) -> Self {
        let mut raw = RawClient::modern(address).await;
        raw.send(&format!("SUB {prefix}.r.* {REQUESTS}\r\n")).await;
        Self {
            raw,
            prefix,
            patience,
            subscriptions: HashMap::new(),
            waiting: HashMap::new(),
            replies: HashMap::new(),
            errors: VecDeque::new(),
            pongs: 0,
            next: REQUESTS + 1,
            requests: 0,
        }
    }

    pub(super) async fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: &[String],
        body: &str,
    ) {
        let reply = reply.unwrap_or_default();
        if headers.is_empty() {
            self.raw.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
            return;
        }
        let mut block = "NATS/1.0\r\n".to_owned();
        for header in headers {
            block.push_str(header);
            block.push_str("\r\n");
        }
        block.push_str("\r\n");
        let (length, total) = (block.len(), block.len() + body.len());
        self.raw.send(&format!("HPUB {subject} {reply} {length} {total}\r\n{block}{body}\r\n")).await;
    }

    /// Publishes with a reply subject of its own, and waits for the answer.
    pub(super) async fn request(
        &mut self,
        subject: &str,
        headers: &[String],
        body: &str,
    ) -> Result<Message, String> {
        self.requests += 1;
        let inbox = format!("{}.r.{}", self.prefix, self.requests);
        self.publish(subject, Some(&inbox), headers, body).await;
        loop {
            let waiting = self.waiting.entry(REQUESTS).or_default();
            if let Some(index) = waiting.iter().position(|message| message.subject == inbox)
                && let Some(message) = waiting.remove(index)
            {
                return Ok(message);
            }
            self.read().await.map_err(|error| format!("no answer: {error}"))?;
        }
    }

    /// Publishes with a reply subject of its own, and returns without waiting.
    pub(super) async fn ask_in_vain(&mut self, subject: &str, headers: &[String], body: &str) {
        let inbox = format!("{}.r.vain", self.prefix);
        self.publish(subject, Some(&inbox), headers, body).await;
    }

    /// The subject of an inbox, which is subscribed to when it is first named. A name with a dot is a subject itself.
    pub(super) async fn inbox(&mut self, name: &str) -> String {
        if name.contains('.') {
            return name.to_owned();
        }
        let subject = format!("{}.{name}", self.prefix);
        if !self.subscriptions.contains_key(name) {
            self.subscribe(name, &subject, None).await;
        }
        subject
    }

    pub(super) async fn subscribe(&mut self, name: &str, subject: &str, group: Option<&str>) {
        let sid = self.next;
        self.next += 1;
        self.raw.send(&format!("SUB {subject} {} {sid}\r\n", group.unwrap_or_default())).await;
        self.subscriptions.insert(name.to_owned(), Subscription { sid, subject: subject.to_owned() });
        self.sync().await.expect("the server is there");
    }

    pub(super) async fn unsubscribe(&mut self, name: &str) -> Result<(), String> {
        let subscription = self.subscriptions.get(name).ok_or("no such subscription")?;
        self.raw.send(&format!("UNSUB {}\r\n", subscription.sid)).await;
        self.sync().await?;
        self.subscriptions.remove(name);
        Ok(())
    }

    /// Where the sender of the last message of a subscription wants an answer.
    pub(super) fn last_reply(&self, name: &str) -> Option<String> {
        self.replies.get(name).cloned()
    }

    /// The next message of a subscription. One that came to an inbox has `-` for a subject.
    pub(super) async fn next(&mut self, name: &str) -> Result<Message, String> {
        let Some(Subscription { sid, subject }) = self.subscriptions.get(name) else {
            return Err(format!("{name} was not subscribed to"));
        };
        let (sid, subject) = (*sid, subject.clone());
        loop {
            if let Some(mut message) = self.waiting.entry(sid).or_default().pop_front() {
                if message.subject == subject && subject.starts_with(&self.prefix) {
                    "-".clone_into(&mut message.subject);
                }
                if let Some(reply) = &message.reply {
                    self.replies.insert(name.to_owned(), reply.clone());
                }
                return Ok(message);
            }
            self.read().await.map_err(|error| format!("nothing on {name}: {error}"))?;
        }
    }

    pub(super) async fn next_error(&mut self) -> Result<String, String> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Ok(error);
            }
            self.read().await?;
        }
    }

    /// PING, and reads until PONG.
    pub(super) async fn sync(&mut self) -> Result<(), String> {
        self.raw.send("PING\r\n").await;
        let pongs = self.pongs;
        while self.pongs == pongs {
            self.read().await?;
        }
        Ok(())
    }

    /// What came and was not taken.
    pub(super) fn left_over(&self) -> Vec<String> {
        let messages = self.waiting.values().flatten().map(|message| {
            let body = message.body.chars().take(200).collect();
            format!("{:?}", Message { body, ..message.clone() })
        });
        messages.chain(self.errors.iter().cloned()).collect()
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn read(&mut self) -> Result<(), String> {
        let frame = timeout(self.patience, self.raw.frame())
            .await
            .map_err(|_| "not in time".to_owned())?
            .ok_or("the server closed the connection")?;
        if frame == "PONG\r\n" {
            self.pongs += 1;
        } else if let Some(error) = frame.strip_prefix("-ERR ") {
            self.errors.push_back(error.trim_end().to_owned());
        } else if let Some((sid, message)) = parse(&frame) {
            self.waiting.entry(sid).or_default().push_back(message);
        } else if !frame.starts_with("INFO ") {
            return Err(format!("not understood: {frame}"));
        }
        Ok(())
    }
}
