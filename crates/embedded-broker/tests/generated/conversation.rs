//! Holds a conversation with a server and notes what came of each operation.

use std::{collections::BTreeMap, net::SocketAddr};

use super::operations::{Does, Operation, SIDS};
use crate::support::RawClient;

/// How a connection logs in.
#[derive(Clone, Copy)]
pub(super) struct Login {
    pub(super) user: Option<&'static str>,
    pub(super) echo: bool,
    /// With headers and no responders.
    pub(super) requests: bool,
}

/// Connections that stay from one conversation to the next.
pub(super) struct Conversation(Vec<RawClient>);

/// What came of one operation, without what is chance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What the connection was told.
    errors: Vec<String>,
    /// How often it was told that nobody answers.
    no_responders: usize,
    /// The plain subscriptions that got the message, as (connection, name), with what they got, sorted.
    plain: Vec<(usize, String)>,
    /// How many members of each group got it.
    groups: BTreeMap<String, usize>,
}

impl Conversation {
    pub(super) async fn open(address: SocketAddr, logins: &[Login]) -> Self {
        let mut clients = Vec::new();
        for login in logins {
            let mut client = RawClient::open(address).await;
            let Login { user, echo, requests } = login;
            let credentials =
                user.map(|user| format!(",\"user\":\"{user}\",\"pass\":\"pw\"")).unwrap_or_default();
            client
                .send(&format!(
                    "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":{echo},\"headers\":{requests},\"no_responders\":{requests}{credentials}}}\r\n"
                ))
                .await;
            client.sync().await;
            clients.push(client);
        }
        Self(clients)
    }

    /// Says it all, one operation after the other, and hears what came of it.
    pub(super) async fn hold(&mut self, operations: &[Operation]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::default(); operations.len()];
        for (number, operation) in operations.iter().enumerate() {
            let line = line(&operation.does, number);
            self.say(operation.connection, &line, Some(number), &mut outcomes).await;
        }
        for connection in 0..self.0.len() {
            let end = SIDS.map(|sid| format!("UNSUB {sid}\r\n")).concat();
            self.say(connection, &end, None, &mut outcomes).await;
        }
        for outcome in &mut outcomes {
            outcome.plain.sort();
        }
        outcomes
    }

    /// Says something and reads until everything is there that was sent before. Answers belong to the operation at
    /// hand, messages to the one whose number they carry.
    async fn say(&mut self, connection: usize, text: &str, number: Option<usize>, outcomes: &mut [Outcome]) {
        let client = &mut self.0[connection];
        client.send(&format!("{text}PING\r\n")).await;
        loop {
            let frame = client.frame().await.expect("a frame");
            if frame == "PONG\r\n" {
                return;
            }
            if let Some(error) = frame.strip_prefix("-ERR ") {
                outcomes[number.expect("an operation")].errors.push(error.trim_end().to_owned());
            } else if frame.starts_with("HMSG ") {
                assert!(frame.contains("NATS/1.0 503\r\n"), "{frame}");
                outcomes[number.expect("an operation")].no_responders += 1;
            } else {
                note_message(connection, &frame, outcomes);
            }
        }
    }
}

fn line(does: &Does, number: usize) -> String {
    match does {
        Does::Subscribe { filter, sid } => {
            let queue = if sid.starts_with('p') { "" } else { &sid[..1] };
            format!("SUB {filter} {queue} {sid}\r\n")
        }
        Does::Unsubscribe { sid, max } => {
            let max = max.map(|max| max.to_string()).unwrap_or_default();
            format!("UNSUB {sid} {max}\r\n")
        }
        Does::Publish { subject, reply } => {
            let (reply, body) = (reply.as_deref().unwrap_or_default(), number.to_string());
            format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())
        }
    }
}

fn note_message(connection: usize, frame: &str, outcomes: &mut [Outcome]) {
    let (head, body) = frame.split_once("\r\n").expect("a line");
    let number: usize = body.trim_end().parse().expect("the number of the operation");
    let words: Vec<_> = head.split(' ').collect();
    let outcome = &mut outcomes[number];
    let sid = words[2];
    if sid.starts_with('p') {
        outcome.plain.push((connection, head.to_owned()));
    } else {
        *outcome.groups.entry(sid[..1].to_owned()).or_default() += 1;
    }
}
