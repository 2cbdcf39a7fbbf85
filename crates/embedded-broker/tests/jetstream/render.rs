//! Writes what came from a server so that two servers and two runs can be compared: members sorted, times and ids
//! masked, base64 read.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{
    Map, Value,
    ser::{Formatter, Serializer},
};

use super::messages::{AckSubject, Headers, Message};

/// Members whose values differ from run to run, or say something about the server's program.
const MASKED: &[&str] = &[
    "ack_time",
    "active",
    "created",
    "first_ts",
    "last_active",
    "last_ts",
    "pause_remaining",
    "pinned_client_id",
    "pinned_ts",
    "server",
    "server_id",
    "time",
    "timestamp",
    "ts",
];

/// Members of a cluster, which a single server names too.
const DROPPED: &[&str] = &["cluster", "alternates"];

/// Headers whose values differ from run to run.
const MASKED_HEADERS: &[&str] = &["Nats-Time-Stamp", "Nats-Pin-Id"];

/// The time that stands for none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Width of a line with members.
const WIDTH: usize = 112;

/// How one answer is shown.
pub(super) struct Rendering<'a> {
    /// Whether the metadata that the server adds is shown.
    pub(super) metadata: bool,
    /// Only these members are shown, if there are any.
    pub(super) show: &'a [String],
    /// Values that are shown by their names.
    pub(super) variables: &'a BTreeMap<String, String>,
    /// Begins the inboxes of a connection; as long for every one.
    pub(super) prefix: &'a str,
}

impl Rendering<'_> {
    /// An answer: its members, or the message if it is no JSON.
    pub(super) fn answer(&self, message: &Message) -> Vec<String> {
        let lines = match json(message) {
            Some(value) if message.headers.is_none() => self.value(value),
            _ => {
                let subject = "-".to_owned();
                vec![self.line(&Message { subject, ..message.clone() })]
            }
        };
        lines.into_iter().map(|line| self.names(line)).collect()
    }

    /// A message that was delivered.
    pub(super) fn delivery(&self, message: &Message) -> Vec<String> {
        let lines = match json(message) {
            Some(value) => {
                let head = self.line(&Message { body: String::new(), ..message.clone() });
                let mut lines = self.value(value);
                lines[0].insert_str(0, &(head + " "));
                lines
            }
            None => vec![self.line(message)],
        };
        lines.into_iter().map(|line| self.names(line)).collect()
    }

    fn line(&self, message: &Message) -> String {
        let mut parts = Vec::new();
        let status = message.headers.as_ref().map(|headers| headers.status.as_str()).unwrap_or_default();
        if message.subject != "-" || status.is_empty() {
            parts.push(message.subject.clone());
        }
        if !status.is_empty() {
            parts.push(go_parser(status, " - ").to_owned());
        }
        parts.extend(message.reply.as_deref().map(|reply| self.reply(reply)));
        parts.extend(message.headers.as_ref().and_then(|headers| self.headers(headers)));
        if message.body.len() > 20 && message.body.bytes().all(|byte| byte == b'x') {
            parts.push(format!("*{}", message.body.len()));
        } else if !message.body.is_empty() {
            parts.push(message.body.replace("\r\n", "␍␊"));
        }
        parts.join(" ")
    }

    #[expect(clippy::unused_self, reason = "one of several kinds of rendering")]
    fn reply(&self, reply: &str) -> String {
        if let Some(ack) = AckSubject::parse(reply) {
            let AckSubject { stream, consumer, delivered, stream_sequence, consumer_sequence, pending } = ack;
            return format!(
                "<{stream} {consumer} {delivered} {stream_sequence} {consumer_sequence} {pending}>"
            );
        }
        format!("<{}>", made_up(reply))
    }

    #[expect(clippy::unused_self, reason = "one of several kinds of rendering")]
    fn headers(&self, headers: &Headers) -> Option<String> {
        let shown = headers.lines.iter().map(|line| match line.split_once(": ") {
            Some((name, _)) if MASKED_HEADERS.contains(&name) => format!("{name}: *"),
            Some(("Nats-Stream-Source", _)) => source(line),
            Some((name @ ("Nats-Consumer-Stalled" | "Nats-Subject"), value)) => {
                format!("{name}: {}", made_up(value))
            }
            _ => line.clone(),
        });
        let shown: Vec<_> = shown.collect();
        (!shown.is_empty()).then(|| format!("[{}]", shown.join("; ")))
    }

    fn value(&self, mut value: Value) -> Vec<String> {
        self.mask(&mut value);
        if !self.show.is_empty() && value.get("error").is_none() {
            let shown = self.show.iter().map(|path| {
                let found = members(&value, path);
                let texts: Vec<_> = found.iter().map(spaced).collect();
                format!("{path}={}", if texts.is_empty() { "absent".to_owned() } else { texts.join(",") })
            });
            return vec![shown.collect::<Vec<_>>().join(" ")];
        }
        let error = value.as_object_mut().and_then(|members| members.remove("error"));
        let mut lines = fill(&spaced(&value));
        if let Some(error) = error {
            let text = go_parser(error["description"].as_str().unwrap_or_default(), ": ");
            lines[0].insert_str(0, &format!("! {} {} {text} ", error["code"], error["err_code"]));
        }
        lines
    }

    fn mask(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, value| !DROPPED.contains(&name.as_str()) || value.is_string());
                self.mask_members(members);
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.mask(value)),
            _ => {}
        }
    }

    fn mask_members(&self, members: &mut Map<String, Value>) {
        for (name, value) in members.iter_mut() {
            let text = value.as_str();
            let new = match name.as_str() {
                name if MASKED.contains(&name) && text != Some(NO_TIME) => Some("*".to_owned()),
                "type" => text
                    .and_then(|kind| kind.strip_prefix("io.nats.jetstream."))
                    .map(|kind| kind.strip_prefix("api.v1.").unwrap_or(kind).to_owned()),
                "id" if text.is_some_and(|id| id.len() == 22) => Some("*".to_owned()),
                "client" if value.is_object() => Some("*".to_owned()),
                "data" | "hdrs" => text.and_then(|text| STANDARD.decode(text).ok()).map(|bytes| {
                    let text = String::from_utf8_lossy(&bytes);
                    text.trim_end_matches("\r\n").split("\r\n").map(source).collect::<Vec<_>>().join("|")
                }),
                "_nats.ver" | "_nats.level" => Some("*".to_owned()),
                _ => None,
            };
            match new {
                Some(new) => *value = Value::String(new),
                None => self.mask(value),
            }
        }
        if let Some(api) = members.get_mut("api").and_then(Value::as_object_mut) {
            api.values_mut().for_each(|value| *value = Value::String("*".to_owned()));
        }
        if let Some(Value::Object(metadata)) = members.get_mut("metadata")
            && !self.metadata
        {
            metadata.retain(|name, _| !name.starts_with("_nats."));
            if metadata.is_empty() {
                members.remove("metadata");
            }
        }
    }

    /// Shows values by their names.
    fn names(&self, mut line: String) -> String {
        while let Some(start) = line.find("_INBOX.") {
            let end = (start + self.prefix.len()).min(line.len());
            line.replace_range(start..end, "<inbox>");
        }
        for (name, value) in self.variables {
            line = line.replace(value, &format!("<{name}>"));
        }
        line
    }
}

/// The members at a path; `*` is every member of a list, and `count` at the end is how many it has.
pub(super) fn members(value: &Value, path: &str) -> Vec<Value> {
    // Names such as `_nats.ver` and `s.a` have dots of their own: the longest name that is there.
    let dots = path.match_indices('.').map(|(dot, _)| (&path[..dot], &path[dot + 1..]));
    for (first, rest) in dots.chain([(path, "")]).collect::<Vec<_>>().into_iter().rev() {
        let found: Vec<&Value> = match value {
            Value::Array(values) if first == "*" => values.iter().collect(),
            Value::Array(values) if first == "count" => return vec![values.len().into()],
            Value::Array(values) => {
                first.parse().ok().and_then(|index: usize| values.get(index)).into_iter().collect()
            }
            _ => value.get(first).into_iter().collect(),
        };
        match rest {
            _ if found.is_empty() => {}
            "" => return found.into_iter().cloned().collect(),
            _ => return found.into_iter().flat_map(|value| members(value, rest)).collect(),
        }
    }
    Vec::new()
}

fn json(message: &Message) -> Option<Value> {
    serde_json::from_str(&message.body).ok().filter(Value::is_object)
}

/// What is wrong with a JSON document is said in the words of the parser; that it is wrong is all that is compared.
fn go_parser<'a>(text: &'a str, before: &str) -> &'a str {
    let words = [
        "json: cannot unmarshal",
        "invalid character",
        "unexpected EOF",
        "unexpected end",
        "EOF",
        "parsing time",
    ];
    match text.split_once(before) {
        Some(("invalid JSON", rest)) if words.iter().any(|word| rest.starts_with(word)) => "invalid JSON: *",
        Some(("400 Bad Request", rest)) if words.iter().any(|word| rest.starts_with(word)) => {
            "400 Bad Request - *"
        }
        _ => text,
    }
}

/// The header that says where a message comes from ends with a name that the server makes up.
fn source(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((start, _)) if line.starts_with("Nats-Stream-Source: ") => format!("{start} *"),
        _ => line.to_owned(),
    }
}

/// A subject without what the server makes up: the time in it, or its last token.
fn made_up(subject: &str) -> String {
    if let Some(AckSubject { stream, consumer, delivered, stream_sequence, consumer_sequence, pending }) =
        AckSubject::parse(subject)
    {
        return format!(
            "$JS.ACK.{stream}.{consumer}.{delivered}.{stream_sequence}.{consumer_sequence}.*.{pending}"
        );
    }
    match subject.rsplit_once('.') {
        Some((start, _)) if subject.starts_with("$JS.FC.") => format!("{start}.*"),
        _ => subject.to_owned(),
    }
}

/// Breaks a text into lines after commas, with as many parts on a line as fit.
fn fill(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in text.split_inclusive(", ") {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + part.len() > WIDTH {
            line.truncate(line.trim_end().len());
            lines.push(format!("  {part}"));
        } else {
            line.push_str(part);
        }
    }
    lines
}

/// Writes JSON with a space after each comma between members.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }
}

fn spaced(value: &Value) -> String {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced)).expect("a value is JSON");
    String::from_utf8_lossy(&bytes).into_owned()
}
