//! Runs a case.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    case::{Ack, Case, Does, Publish, Step},
    connection::Connection,
    messages::{AckSubject, Message},
    record::Recorded,
    render::{Rendering, members},
    server::Site,
};
use crate::support::PATIENCE;

/// What came of a case.
pub(super) struct Outcome {
    pub(super) result: Result<(), String>,
    /// Where it failed.
    pub(super) line: usize,
    pub(super) recorded: Vec<Recorded>,
}

struct Run<'a> {
    case: &'a Case,
    site: &'a mut Site,
    record: bool,
    connections: HashMap<String, Connection>,
    variables: BTreeMap<String, String>,
    /// Where the last delivery of a message is acknowledged, by consumer and sequence.
    acks: HashMap<(String, String), String>,
    recorded: Vec<Recorded>,
}

/// Runs the steps, and removes what they left.
pub(super) async fn run(case: &Case, site: &mut Site, record: bool) -> Outcome {
    let mut run = Run {
        case,
        site,
        record,
        connections: HashMap::new(),
        variables: BTreeMap::new(),
        acks: HashMap::new(),
        recorded: Vec::new(),
    };
    let mut line = 0;
    let mut result = Ok(());
    for step in &case.steps {
        line = step.lines.0 + 1;
        result = run.step(step).await.map_err(|error| format!("  {}\n{error}", step.text));
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        result = run.nothing_left_over().await;
    }
    let cleared = run.clear().await;
    Outcome { result: result.and(cleared), line, recorded: run.recorded }
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        for number in 1..=step.repeat {
            let counted = |text: &str| match step.repeat {
                1 => text.to_owned(),
                _ => text.replace('#', &number.to_string()),
            };
            let got = self.does(step, &counted).await?;
            self.compare(step, got)?;
        }
        Ok(())
    }

    /// Does what a step says; returns the lines that it is compared by.
    async fn does(
        &mut self,
        step: &Step,
        counted: &(dyn Fn(&str) -> String + Sync),
    ) -> Result<Option<Vec<String>>, String> {
        let at = &step.connection;
        let headers: Vec<_> = step.headers.iter().map(|line| self.filled(&counted(line))).collect();
        match &step.does {
            Does::Request(publish) => {
                let message = self.request(at, publish, &headers, counted).await?;
                self.keep(step, &message)?;
                return Ok(Some(self.rendering(step).answer(&message)));
            }
            Does::Ok(publish) => {
                let message = self.request(at, publish, &headers, counted).await?;
                let answer: Value = serde_json::from_str(&message.body).unwrap_or_default();
                if !answer.is_object() || answer.get("error").is_some() {
                    return Err(format!("answered {message:?}"));
                }
                self.keep(step, &message)?;
            }
            Does::Until(publish) => return self.until(step, publish, &headers).await.map(Some),
            Does::Silent(publish) => {
                let (subject, body) = self.publish(publish, counted);
                self.connection(at).await.ask_in_vain(&subject, &headers, &body).await;
                self.connection(at).await.request("$JS.API.INFO", &[], "").await?;
            }
            Does::Put(publish) => {
                let (subject, body) = self.publish(publish, counted);
                self.connection(at).await.publish(&subject, None, &headers, &body).await;
            }
            Does::Ask { inbox, publish } => {
                let (subject, body) = self.publish(publish, counted);
                let connection = self.connection(at).await;
                let inbox = connection.inbox(inbox).await;
                connection.publish(&subject, Some(&inbox), &headers, &body).await;
            }
            Does::Subscribe { name, subject, group } => {
                let subject = self.filled(subject);
                self.connection(at).await.subscribe(name, &subject, group.as_deref()).await;
            }
            Does::Unsubscribe(name) => self.connection(at).await.unsubscribe(name).await?,
            Does::Get { name, count } => return self.get(step, name, *count).await.map(Some),
            Does::Ack(ack) => {
                let (subject, body) = self.ack(ack)?;
                self.connection(at).await.publish(&subject, None, &headers, &body).await;
                self.connection(at).await.sync().await?;
            }
            Does::AckRequest(ack) => {
                let (subject, body) = self.ack(ack)?;
                let message = self.connection(at).await.request(&subject, &headers, &body).await?;
                return Ok(Some(self.rendering(step).answer(&message)));
            }
            Does::AckAsk { inbox, ack } => {
                let (subject, body) = self.ack(ack)?;
                let connection = self.connection(at).await;
                let inbox = connection.inbox(inbox).await;
                connection.publish(&subject, Some(&inbox), &headers, &body).await;
            }
            Does::Answer { name, body } => {
                let connection = self.connection(at).await;
                let reply = connection.last_reply(name).ok_or("nothing asked for an answer")?;
                connection.publish(&reply, None, &headers, body).await;
            }
            Does::Error => return Ok(Some(vec![self.connection(at).await.next_error().await?])),
            Does::Mark(name) => drop(self.variables.insert(name.clone(), Timestamp::now().to_string())),
            Does::Sync => self.connection(at).await.sync().await?,
            Does::Close => drop(self.connections.remove(at)),
            Does::Restart(how) => {
                self.connections.clear();
                self.site.restart(*how).await;
            }
        }
        Ok(None)
    }

    async fn connection(&mut self, name: &str) -> &mut Connection {
        if !self.connections.contains_key(name) {
            let patience = if self.record { Duration::from_secs(4) } else { PATIENCE / 2 };
            let prefix = self.site.prefix();
            let connection = Connection::open(self.site.address(), prefix, patience).await;
            self.connections.insert(name.to_owned(), connection);
        }
        self.connections.get_mut(name).expect("just opened")
    }

    async fn request(
        &mut self,
        at: &str,
        publish: &Publish,
        headers: &[String],
        counted: &(dyn Fn(&str) -> String + Sync),
    ) -> Result<Message, String> {
        let (subject, body) = self.publish(publish, counted);
        self.connection(at).await.request(&subject, headers, &body).await
    }

    /// Asks until the answer is the expected one.
    async fn until(
        &mut self,
        step: &Step,
        publish: &Publish,
        headers: &[String],
    ) -> Result<Vec<String>, String> {
        let deadline = tokio::time::Instant::now() + PATIENCE / 2;
        if self.record {
            tokio::time::sleep(Duration::from_millis(2500)).await;
        }
        loop {
            let message = self.request(&step.connection, publish, headers, &str::to_owned).await?;
            let got = self.rendering(step).answer(&message);
            let expected = step.expected.as_deref().unwrap_or_default();
            if self.record || same(&got, expected) || tokio::time::Instant::now() > deadline {
                return Ok(got);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn get(&mut self, step: &Step, name: &str, count: usize) -> Result<Vec<String>, String> {
        let mut got = Vec::new();
        for _ in 0..count {
            match self.connection(&step.connection).await.next(name).await {
                Ok(message) => {
                    if let Some(reply) = &message.reply
                        && let Some(ack) = AckSubject::parse(reply)
                    {
                        let key = (ack.consumer.to_owned(), ack.stream_sequence.to_owned());
                        self.acks.insert(key, reply.clone());
                    }
                    got.extend(self.rendering(step).delivery(&message));
                }
                Err(error) => {
                    got.push(format!("({error})"));
                    break;
                }
            }
        }
        Ok(got)
    }

    fn ack(&self, ack: &Ack) -> Result<(String, String), String> {
        let key = (self.filled(&ack.consumer), ack.sequence.clone());
        let subject = self.acks.get(&key).ok_or("that message was not delivered")?;
        Ok((subject.clone(), self.filled(&ack.body)))
    }

    fn publish(&self, publish: &Publish, counted: &(dyn Fn(&str) -> String + Sync)) -> (String, String) {
        (self.filled(&counted(&publish.subject)), self.filled(&counted(&publish.body)))
    }

    /// Members of the answer that later steps name.
    fn keep(&mut self, step: &Step, message: &Message) -> Result<(), String> {
        let answer: Value = serde_json::from_str(&message.body).unwrap_or_default();
        for (name, path) in &step.lets {
            let found = members(&answer, path);
            let text = match found.first() {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => return Err(format!("no {path} in {answer}")),
            };
            self.variables.insert(name.clone(), text);
        }
        Ok(())
    }

    fn rendering<'a>(&'a self, step: &'a Step) -> Rendering<'a> {
        Rendering {
            metadata: self.case.metadata,
            show: &step.show,
            variables: &self.variables,
            prefix: self.connections.get(&step.connection).map_or("_INBOX", Connection::prefix),
        }
    }

    /// The text with values for `<name>`.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(&format!("<{name}>"), value);
        }
        let mut from = 0;
        while let Some(start) = text[from..].find("<x").map(|found| from + found) {
            from = start + 1;
            let end = text[start..].find('>').map_or(start, |length| start + length);
            if let Ok(count) = text[start + 2..end.max(start + 2)].parse() {
                text.replace_range(start..=end, &"x".repeat(count));
            }
        }
        while let Some(start) = text.find("<now") {
            let end = start + text[start..].find('>').expect("`<now` ends with `>`");
            let offset = &text[start + "<now".len()..end];
            let offset = match offset.strip_prefix('+') {
                _ if offset.is_empty() => SignedDuration::ZERO,
                Some(later) => later.parse().expect("a duration"),
                None => offset.parse().expect("a duration"),
            };
            text.replace_range(start..=end, &(Timestamp::now() + offset).to_string());
        }
        text
    }

    fn compare(&mut self, step: &Step, got: Option<Vec<String>>) -> Result<(), String> {
        if self.record {
            // A step that is repeated expects nothing, and is there once.
            self.recorded.retain(|recorded| recorded.lines != step.lines);
            self.recorded.push(Recorded { lines: step.lines, expected: got.unwrap_or_default() });
            return Ok(());
        }
        let (expected, got) = (step.expected.clone().unwrap_or_default(), got.unwrap_or_default());
        if same(&got, &expected) {
            return Ok(());
        }
        Err(difference(&expected, &got))
    }

    /// What came and was not taken is a failure.
    async fn nothing_left_over(&mut self) -> Result<(), String> {
        for (name, connection) in &mut self.connections {
            connection.sync().await?;
            let left_over = connection.left_over();
            if !left_over.is_empty() {
                return Err(format!("left over on {name}: {left_over:#?}"));
            }
        }
        Ok(())
    }

    /// Leaves a server without streams.
    async fn clear(&mut self) -> Result<(), String> {
        self.connections.clear();
        let prefix = self.site.prefix();
        let mut connection = Connection::open(self.site.address(), prefix, PATIENCE / 2).await;
        loop {
            let names = connection.request("$JS.API.STREAM.NAMES", &[], "").await?;
            let names: Value = serde_json::from_str(&names.body).map_err(|error| error.to_string())?;
            let names = names["streams"].as_array().cloned().unwrap_or_default();
            if names.is_empty() {
                self.site.removed();
                return Ok(());
            }
            for name in names.iter().filter_map(Value::as_str) {
                connection.request(&format!("$JS.API.STREAM.DELETE.{name}"), &[], "").await?;
            }
        }
    }
}

/// Whether these are the same words: how they are broken into lines does not matter.
fn same(got: &[String], expected: &[String]) -> bool {
    got.iter()
        .flat_map(|line| line.split_whitespace())
        .eq(expected.iter().flat_map(|line| line.split_whitespace()))
}

/// What is missing and what is there instead, member by member.
fn difference(expected: &[String], got: &[String]) -> String {
    let parts = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .flat_map(|line| line.split(", "))
            .map(|part| part.trim().trim_end_matches(',').to_owned())
            .collect()
    };
    let (wanted, came) = (parts(expected), parts(got));
    let missing = wanted.iter().filter(|part| !came.contains(part)).map(|part| format!("  - {part}"));
    let unexpected = came.iter().filter(|part| !wanted.contains(part)).map(|part| format!("  + {part}"));
    let whole = got.iter().map(|line| format!("    = {line}"));
    missing.chain(unexpected).chain(["  in".to_owned()]).chain(whole).collect::<Vec<_>>().join("\n")
}
