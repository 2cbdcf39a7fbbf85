//! One of the two servers, and what it has delivered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        connection::Connection,
        messages::{AckSubject, Message},
        render::Rendering,
        server::{Site, Which},
    },
    operations::{CONSUMERS, Operation, Plan},
};
use crate::support::PATIENCE;

pub(super) struct Peer {
    site: Site,
    connection: Connection,
    /// Where deliveries are acknowledged, by consumer, in the order in which they came.
    deliveries: [Vec<String>; CONSUMERS],
    /// Which consumers have a bound on what is unacknowledged.
    bounded: [bool; CONSUMERS],
    /// Which consumers have messages that wait for their acknowledgement.
    pending: [bool; CONSUMERS],
    /// Of which consumers some of these may have been purged together with others of their subjects. Whether nats-server
    /// counts them as acknowledged before or after it moves the floor is chance, and the floor stays as wrong as it was.
    floor_is_chance: [bool; CONSUMERS],
    /// Fetches there have been: no two have the same inbox.
    fetches: usize,
}

impl Peer {
    pub(super) async fn start(which: Which) -> Option<Self> {
        let mut site = Site::start(which).await?;
        let prefix = site.prefix();
        let connection = Connection::open(site.address(), prefix, PATIENCE / 2).await;
        Some(Self {
            site,
            connection,
            deliveries: Default::default(),
            bounded: [false; CONSUMERS],
            pending: [false; CONSUMERS],
            floor_is_chance: [false; CONSUMERS],
            fetches: 0,
        })
    }

    pub(super) async fn stop(self) {
        let Self { site, connection, .. } = self;
        drop(connection);
        site.stop().await;
    }

    /// Makes the stream and its consumers.
    pub(super) async fn create(&mut self, plan: &Plan) -> Result<Vec<String>, String> {
        let mut lines = self.ask("STREAM.CREATE.S", &plan.stream, &[]).await?;
        for (number, config) in plan.consumers.iter().enumerate() {
            lines.extend(self.consumer(number, config).await?);
        }
        Ok(lines)
    }

    /// Removes everything.
    pub(super) async fn clear(&mut self) -> Result<(), String> {
        self.ask("STREAM.DELETE.S", &json!({}), &[]).await?;
        self.site.removed();
        self.deliveries = Default::default();
        self.bounded = [false; CONSUMERS];
        self.pending = [false; CONSUMERS];
        self.floor_is_chance = [false; CONSUMERS];
        Ok(())
    }

    pub(super) async fn does(&mut self, operation: &Operation) -> Result<Vec<String>, String> {
        if operation.purges_some_subjects() {
            for (is_chance, pending) in self.floor_is_chance.iter_mut().zip(self.pending) {
                *is_chance |= pending;
            }
        }
        match operation {
            Operation::Publish { subject, headers, body } => {
                let message = self.connection.request(subject, headers, body).await?;
                Ok(self.rendering(&[]).answer(&message))
            }
            Operation::Fetch { consumer, batch } => self.fetch(*consumer, *batch).await,
            Operation::Acknowledge { consumer, nth, body } => self.acknowledge(*consumer, *nth, body).await,
            Operation::Request { subject, body } => self.ask(subject, body, &[]).await,
            Operation::Direct { body } => self.direct(body).await,
            Operation::Consumer { consumer, config } => self.consumer(*consumer, config).await,
            Operation::DropConsumer { consumer } => {
                self.deliveries[*consumer].clear();
                (self.pending[*consumer], self.floor_is_chance[*consumer]) = (false, false);
                self.ask(&format!("CONSUMER.DELETE.S.C{consumer}"), &json!({}), &[]).await
            }
        }
    }

    /// What there is to know about the stream and its consumers.
    pub(super) async fn state(&mut self) -> Result<Vec<String>, String> {
        let body = json!({ "subjects_filter": ">", "deleted_details": true });
        let mut lines = self.ask("STREAM.INFO.S", &body, &["state"]).await?;
        for consumer in 0..CONSUMERS {
            let show = [
                "num_pending",
                "num_ack_pending",
                "num_redelivered",
                "num_waiting",
                "delivered",
                "ack_floor",
            ];
            lines.extend(self.ask(&format!("CONSUMER.INFO.S.C{consumer}"), &Value::Null, &show).await?);
        }
        Ok(lines)
    }

    async fn consumer(&mut self, number: usize, config: &Value) -> Result<Vec<String>, String> {
        let mut config = config.clone();
        config["durable_name"] = json!(format!("C{number}"));
        // Far longer than a test: nothing comes again by itself.
        if config["ack_policy"] != "none" {
            config["ack_wait"] = json!(600_000_000_000_u64);
        }
        // It may have one although this is refused.
        self.bounded[number] |= config.get("max_ack_pending").is_some();
        let body = json!({ "stream_name": "S", "config": config });
        self.ask(&format!("CONSUMER.CREATE.S.C{number}"), &body, &[]).await
    }

    async fn ask(&mut self, call: &str, body: &Value, show: &[&str]) -> Result<Vec<String>, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut message = self.connection.request(&format!("$JS.API.{call}"), &[], &body).await?;
        if let Ok(mut answer) = serde_json::from_str::<Value>(&message.body) {
            without_what_was_passed_over(&mut answer);
            without_what_never_was(&mut answer);
            self.without_chance(&mut answer);
            message.body = answer.to_string();
        }
        let show: Vec<_> = show.iter().map(ToString::to_string).collect();
        Ok(self.rendering(&show).answer(&message))
    }

    fn without_chance(&mut self, answer: &mut Value) {
        let number = (0..CONSUMERS).find(|number| answer["name"] == json!(format!("C{number}")));
        let Some(number) = number else { return };
        self.pending[number] = answer["num_ack_pending"] != json!(0);
        if self.floor_is_chance[number] {
            answer["ack_floor"] = json!("chance");
        }
    }

    /// Pulls what is there. While too much is unacknowledged a pull that does not wait is not answered, so one that may
    /// meet that waits for a moment.
    async fn fetch(&mut self, consumer: usize, batch: u8) -> Result<Vec<String>, String> {
        let name = self.inbox();
        let inbox = self.connection.inbox(&name).await;
        let mut body = json!({ "batch": batch, "no_wait": true });
        if self.bounded[consumer] {
            body["expires"] = json!(150_000_000);
        }
        let body = body.to_string();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.S.C{consumer}");
        self.connection.publish(&subject, Some(&inbox), &[], &body).await;
        let mut lines = Vec::new();
        for _ in 0..batch {
            let message = self.connection.next(&name).await?;
            lines.extend(self.rendering(&[]).delivery(&message));
            match &message.reply {
                Some(reply) if AckSubject::parse(reply).is_some() => {
                    self.deliveries[consumer].push(reply.clone());
                }
                _ => break,
            }
        }
        self.connection.unsubscribe(&name).await?;
        Ok(lines)
    }

    async fn acknowledge(&mut self, consumer: usize, nth: usize, body: &str) -> Result<Vec<String>, String> {
        let Some(reply) = self.deliveries[consumer].get(nth).cloned() else { return Ok(Vec::new()) };
        let message = self.connection.request(&reply, &[], body).await?;
        Ok(self.rendering(&[]).answer(&message))
    }

    async fn direct(&mut self, body: &Value) -> Result<Vec<String>, String> {
        let name = self.inbox();
        let inbox = self.connection.inbox(&name).await;
        self.connection.publish("$JS.API.DIRECT.GET.S", Some(&inbox), &[], &body.to_string()).await;
        let many = body.get("batch").is_some() || body.get("multi_last").is_some();
        let mut lines = Vec::new();
        loop {
            let message = self.connection.next(&name).await?;
            lines.extend(self.rendering(&[]).delivery(&message));
            if !many || is_status(&message) {
                break;
            }
        }
        self.connection.unsubscribe(&name).await?;
        Ok(lines)
    }

    fn inbox(&mut self) -> String {
        self.fetches += 1;
        format!("f{}", self.fetches)
    }

    fn rendering<'a>(&'a self, show: &'a [String]) -> Rendering<'a> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Rendering { metadata: false, show, variables: &NONE, prefix: self.connection.prefix() }
    }
}

fn is_status(message: &Message) -> bool {
    message.headers.as_ref().is_some_and(|headers| !headers.status.is_empty())
}

/// How far a consumer looked before it delivered anything says nothing to anybody, and depends on when it looked.
fn without_what_was_passed_over(answer: &mut Value) {
    let Some(delivered) = answer.get_mut("delivered") else { return };
    if delivered["consumer_seq"] == json!(0) {
        *delivered = json!("nothing");
    }
}

/// nats-server counts a message that never was, once a batch was read from an empty stream, and now and then one that is
/// before the first. And it begins such a stream
/// with 1 instead of 0 when somebody loses interest who was to begin later.
fn without_what_never_was(answer: &mut Value) {
    let Some(state) = answer.get_mut("state").and_then(Value::as_object_mut) else { return };
    let first = state.get("first_seq").and_then(Value::as_u64).unwrap_or(0);
    if let Some(deleted) = state.get_mut("deleted").and_then(Value::as_array_mut) {
        deleted.retain(|seq| seq.as_u64() >= Some(first.max(1)));
        let count = deleted.len();
        state.insert("num_deleted".to_owned(), json!(count));
        if count == 0 {
            state.remove("deleted");
            state.remove("num_deleted");
        }
    }
    if state.get("last_seq") == Some(&json!(0)) {
        state.remove("first_seq");
    }
}
