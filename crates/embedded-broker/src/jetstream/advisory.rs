//! Advisories: what happened, for whoever listens. They are only put together when somebody does.

use rand::RngExt as _;
use serde_json::{Map, Value, json};

use super::{
    clock,
    consumer::{Consumer, Exhausted, Finished},
    json as json_text,
    sender::Sender,
    store::Seq,
};

/// A message was delivered as often as it may be.
pub(super) fn exhausted(sender: &mut Sender, consumer: &Consumer, message: Exhausted) {
    let members = json!({ "stream_seq": message.seq, "deliveries": message.deliveries });
    of_consumer(sender, consumer, "CONSUMER.MAX_DELIVERIES", "max_deliver", members);
}

/// A message is given up, by a client or because it is gone.
pub(super) fn terminated(sender: &mut Sender, consumer: &Consumer, message: &Finished, reason: &str) {
    let Finished { seq, delivery, deliveries, .. } = *message;
    let mut members = json!({ "consumer_seq": delivery, "stream_seq": seq, "deliveries": deliveries });
    if !reason.is_empty() {
        members["reason"] = reason.into();
    }
    of_consumer(sender, consumer, "CONSUMER.MSG_TERMINATED", "terminated", members);
}

/// A client wants a message again.
pub(super) fn refused(sender: &mut Sender, consumer: &Consumer, seq: Seq, delivery: u64, deliveries: u64) {
    let members = json!({ "consumer_seq": delivery, "stream_seq": seq, "deliveries": deliveries });
    of_consumer(sender, consumer, "CONSUMER.MSG_NAKED", "nak", members);
}

/// Where requests and their answers are shown.
pub(super) const AUDIT: &str = "$JS.EVENT.ADVISORY.API";

/// A request to the API and its answer.
pub(super) fn audit(
    sender: &mut Sender,
    server: &str,
    client: Option<Value>,
    subject: &str,
    request: &[u8],
    answer: &[u8],
) {
    let mut members = json!({
        "server": server,
        "subject": format!("$JS.API.{subject}"),
        "response": String::from_utf8_lossy(answer),
    });
    if let Some(client) = client {
        members["client"] = client;
    }
    if !request.is_empty() {
        members["request"] = String::from_utf8_lossy(request).into();
    }
    publish(sender, AUDIT, "io.nats.jetstream.advisory.v1.api_audit", members);
}

/// Requests were dropped, because too many waited.
pub(super) fn requests_dropped(sender: &mut Sender, server: &str, dropped: u64) {
    let members = json!({ "server": server, "dropped": dropped });
    let kind = "io.nats.jetstream.advisory.v1.api_limit_reached";
    publish(sender, "$JS.EVENT.ADVISORY.API.LIMIT_REACHED", kind, members);
}

/// A stream was made, changed or deleted: `create`, `modify`, `delete`.
pub(super) fn stream_action(sender: &mut Sender, stream: &str, action: &str) {
    let subject = match action {
        "create" => "CREATED",
        "modify" => "UPDATED",
        _ => "DELETED",
    };
    let subject = format!("$JS.EVENT.ADVISORY.STREAM.{subject}.{stream}");
    let members = json!({ "stream": stream, "action": action });
    publish(sender, &subject, "io.nats.jetstream.advisory.v1.stream_action", members);
}

/// A consumer was made or deleted: `create`, `delete`.
pub(super) fn consumer_action(sender: &mut Sender, consumer: &Consumer, action: &str) {
    let subject = if action == "delete" { "CONSUMER.DELETED" } else { "CONSUMER.CREATED" };
    of_consumer(sender, consumer, subject, "consumer_action", json!({ "action": action }));
}

/// A consumer was paused, or goes on.
pub(super) fn paused(sender: &mut Sender, consumer: &Consumer, until: Option<i64>) {
    let members = json!({ "paused": until.is_some(), "pause_until": clock::rfc3339(until.unwrap_or(0)) });
    of_consumer(sender, consumer, "CONSUMER.PAUSE", "consumer_pause", members);
}

/// An acknowledgement that is reported.
pub(super) struct Sample {
    pub(super) seq: Seq,
    /// Number of the delivery.
    pub(super) delivery: u64,
    pub(super) deliveries: u64,
    /// Nanoseconds from the delivery to the acknowledgement.
    pub(super) took: i64,
}

/// An acknowledgement is reported.
pub(super) fn sampled(sender: &mut Sender, consumer: &Consumer, sample: &Sample) {
    let subject = format!("$JS.EVENT.METRIC.CONSUMER.ACK.{}.{}", consumer.stream.name, consumer.name);
    let members = json!({
        "stream": &*consumer.stream.name, "consumer": &*consumer.name,
        "consumer_seq": sample.delivery, "stream_seq": sample.seq,
        "ack_time": sample.took, "deliveries": sample.deliveries,
    });
    publish(sender, &subject, "io.nats.jetstream.metric.v1.consumer_ack", members);
}

fn of_consumer(sender: &mut Sender, consumer: &Consumer, subject: &str, kind: &str, members: Value) {
    let subject = format!("$JS.EVENT.ADVISORY.{subject}.{}.{}", consumer.stream.name, consumer.name);
    let mut all = Map::new();
    all.insert("stream".to_owned(), (&*consumer.stream.name).into());
    all.insert("consumer".to_owned(), (&*consumer.name).into());
    if let Value::Object(members) = members {
        all.extend(members);
    }
    publish(sender, &subject, &format!("io.nats.jetstream.advisory.v1.{kind}"), Value::Object(all));
}

fn publish(sender: &mut Sender, subject: &str, kind: &str, members: Value) {
    if !sender.has_receiver(subject) {
        return;
    }
    let mut random = rand::rng();
    let id: String = (0..22).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect();
    let mut all = Map::new();
    all.insert("type".to_owned(), kind.into());
    all.insert("id".to_owned(), id.into());
    all.insert("timestamp".to_owned(), clock::rfc3339(clock::now()).into());
    if let Value::Object(members) = members {
        all.extend(members);
    }
    let mut body = Vec::new();
    json_text::write(&mut body, &Value::Object(all));
    let _receivers = sender.publish(subject, &body);
}
