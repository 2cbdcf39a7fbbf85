//! Requests to the bus on the data plane: a room's stored messages, work queues on them, and storing.
//!
//! The subject names who asks and what for (see [`RpcSubject`]), the body is JSON, and what comes back arrives on the
//! reply subject, which has to lie in the asker's own inbox. A stored message comes with its body and headers as they
//! were published, and with headers of ours that begin with [`header::PREFIX`]. The last message of an answer has an
//! empty body and [`header::END`], [`header::DONE`], or [`header::ERROR`] with a sentence in the body.
//!
//! A request to publish is the message itself, with [`header::PUBLISH`] and [`header::MESSAGE_ID`]; its answer has
//! [`header::SEQ`] and [`header::DONE`].

use std::{fmt, str::FromStr};

use busauth::UserId;
use room_protocol::RoomId;
use serde::{Deserialize, Serialize};

use crate::{subjects, timestamp::Timestamp};

/// The headers of an answer.
pub mod header {
    /// Those that the bus sets begin with this. Headers of a stored message that do are left out, in whatever case.
    pub const PREFIX: &str = "Unibus-Stored-";
    /// The message's number in the room's history; grows, with gaps where messages were removed.
    pub const SEQ: &str = "Unibus-Stored-Seq";
    /// When the bus stored it, RFC 3339 with fractions of a second.
    pub const TIME: &str = "Unibus-Stored-Time";
    /// The subject it was published on.
    pub const SUBJECT: &str = "Unibus-Stored-Subject";
    /// Work queues: what to acknowledge it with.
    pub const ACK: &str = "Unibus-Stored-Ack";
    /// Work queues: how often it was given out, counting this time.
    pub const DELIVERY: &str = "Unibus-Stored-Delivery";
    /// A message that was moved here from another bus: the number that it had there. Not the bus's word, but a header of the
    /// message, which whoever published it may have set.
    pub const ORIGIN_SEQ: &str = "Unibus-Origin-Seq";
    /// The same: when it was stored there, RFC 3339 with fractions of a second.
    pub const ORIGIN_TIME: &str = "Unibus-Origin-Time";
    /// The page is over; the number that the next page begins with.
    pub const END: &str = "Unibus-Stored-End";
    /// With [`END`]: how many messages are stored beyond this page.
    pub const MORE: &str = "Unibus-Stored-More";
    /// Work queues: what was asked for is done, or no more messages come; the operation's name.
    pub const DONE: &str = "Unibus-Stored-Done";
    /// Asking to store: where the message is to be published. The request has it once, the stored message has not.
    pub const PUBLISH: &str = "Unibus-Publish-Subject";
    /// Asking to store: a message with the same id as another one of the last minutes is stored once. NATS's own header.
    pub const MESSAGE_ID: &str = "Nats-Msg-Id";
    /// The request is refused; one of [`super::RpcErrorCode`].
    pub const ERROR: &str = "Unibus-Stored-Error";
}

/// The body of a `history` request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryRequest {
    /// Where the page begins.
    pub from: HistoryStart,
    /// How many messages at most, from 1 to [`HistoryRequest::MAX`].
    pub max: u64,
    /// If nothing is there, wait so many seconds for a message; at most [`HistoryRequest::MAX_WAIT`].
    #[serde(default)]
    pub wait: u64,
}

impl HistoryRequest {
    /// The most messages of one page. A page also ends after about 1 MiB.
    pub const MAX: u64 = 1_000;
    /// The longest wait, in seconds.
    pub const MAX_WAIT: u64 = 60;

    /// Whether its numbers are within their bounds.
    pub fn is_valid(&self) -> bool {
        let start = match self.from {
            HistoryStart::Seq(seq) => seq >= 1,
            HistoryStart::Last(count) => count >= 1,
            HistoryStart::Time(_) => true,
        };
        start && (1..=Self::MAX).contains(&self.max) && self.wait <= Self::MAX_WAIT
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryStart {
    /// With this number, or the first one after it.
    Seq(u64),
    /// With the first message stored then or later.
    Time(Timestamp),
    /// So many messages before the end.
    Last(u64),
}

/// The body of a `fetch` request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchRequest {
    /// How many messages at most, from 1 to [`FetchRequest::MAX`].
    pub max: u64,
    /// Seconds to wait for the first message; at most [`FetchRequest::MAX_WAIT`].
    #[serde(default)]
    pub wait: u64,
}

impl FetchRequest {
    /// The most messages of one fetch.
    pub const MAX: u64 = 256;
    /// The longest wait, in seconds.
    pub const MAX_WAIT: u64 = 30;

    /// Whether its numbers are within their bounds.
    pub fn is_valid(&self) -> bool {
        (1..=Self::MAX).contains(&self.max) && self.wait <= Self::MAX_WAIT
    }
}

/// The body of an `ack`, `nak`, `term` or `progress` request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AckRequest {
    /// What came with the message in [`header::ACK`].
    pub ack: AckToken,
    /// `nak`: seconds until it is given out again; at once when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<u16>,
}

/// Which delivery of which message is acknowledged: numbers of the consumer's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AckToken(String);

/// The text is not five numbers with dots between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not what came with a message in {}", header::ACK)]
pub struct AckTokenError;

impl AckToken {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AckToken {
    type Err = AckTokenError;

    fn from_str(text: &str) -> Result<Self, AckTokenError> {
        // It becomes part of a subject, so nothing but numbers may be in it.
        let is_number = |part: &str| {
            part.len() <= 20
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'))
                && part.parse::<u64>().is_ok()
        };
        let parts = text.split('.');
        if parts.clone().count() == 5 && parts.into_iter().all(is_number) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AckTokenError)
        }
    }
}

impl TryFrom<String> for AckToken {
    type Error = AckTokenError;

    fn try_from(text: String) -> Result<Self, AckTokenError> {
        text.parse()
    }
}

impl From<AckToken> for String {
    fn from(token: AckToken) -> Self {
        token.0
    }
}

impl fmt::Display for AckToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the bus refuses a request on the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RpcErrorCode {
    /// The asker is not a member of such a room, or not any more.
    NotAMember,
    /// The room keeps no messages.
    NoHistory,
    /// The asker may read, but not take work.
    NotAWriter,
    /// No work is given out while the room is frozen or closed.
    NoTraffic,
    /// There is no such consumer, or it is somebody else's.
    NoSuchConsumer,
    /// The message was not given out by this consumer, or is acknowledged.
    NotDelivered,
    /// The message is larger than what the bus stores.
    TooLarge,
    /// The bus has no room for the message.
    StorageFull,
    /// The bus keeps nothing of this room now: its stream could not be made, or is gone.
    NotKept,
    /// Too many requests of the asker are waiting.
    Busy,
    /// The bus could not read: try again.
    Unavailable,
}

const CODES: [(RpcErrorCode, &str); 11] = [
    (RpcErrorCode::NotAMember, "not_a_member"),
    (RpcErrorCode::NoHistory, "no_history"),
    (RpcErrorCode::NotAWriter, "not_a_writer"),
    (RpcErrorCode::NoTraffic, "no_traffic"),
    (RpcErrorCode::NoSuchConsumer, "no_such_consumer"),
    (RpcErrorCode::NotDelivered, "not_delivered"),
    (RpcErrorCode::TooLarge, "too_large"),
    (RpcErrorCode::StorageFull, "storage_full"),
    (RpcErrorCode::NotKept, "not_kept"),
    (RpcErrorCode::Busy, "busy"),
    (RpcErrorCode::Unavailable, "unavailable"),
];

impl RpcErrorCode {
    /// The code as text.
    pub fn as_str(self) -> &'static str {
        CODES.iter().find(|(code, _)| *code == self).map_or("unavailable", |(_, text)| text)
    }

    /// The code from its text; `None` for one that this version does not know.
    pub fn from_text(text: &str) -> Option<Self> {
        CODES.iter().find(|(_, known)| *known == text).map(|(code, _)| *code)
    }
}

/// The subject of a request to the bus: below `unibus.rpc.<user id>`, where only that user may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcSubject {
    /// Who asks.
    pub user: UserId,
    /// The room that is meant.
    pub room: RoomId,
    /// What is asked.
    pub operation: Operation,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `history.<room id>`: stored messages.
    History,
    /// `publish.<room id>`: a message to be published in the room, and an answer when it is stored.
    Publish,
    /// `consumer.<room id>.<name>.<work>`: something about a work queue.
    Work {
        /// The consumer.
        consumer: String,
        /// What.
        work: Work,
    },
}

/// What is done with a work queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Take messages.
    Fetch,
    /// A message is dealt with.
    Ack,
    /// A message should be given to somebody else.
    Nak,
    /// A message is not to be given out again.
    Term,
    /// A message takes longer.
    Progress,
}

const WORK: [(Work, &str); 5] = [
    (Work::Fetch, "fetch"),
    (Work::Ack, "ack"),
    (Work::Nak, "nak"),
    (Work::Term, "term"),
    (Work::Progress, "progress"),
];

impl Work {
    /// The last token of the subject.
    pub fn as_str(self) -> &'static str {
        WORK.iter().find(|(work, _)| *work == self).map_or("fetch", |(_, text)| text)
    }
}

impl RpcSubject {
    /// Reads a subject; `None` when it is not exactly one of the forms.
    pub fn parse(subject: &str) -> Option<Self> {
        let tokens: Vec<&str> = subject.split('.').collect();
        let ["unibus", "rpc", user, rest @ ..] = tokens.as_slice() else { return None };
        let user = user.parse().ok()?;
        let (room, operation) = match rest {
            ["history", room] => (room, Operation::History),
            ["publish", room] => (room, Operation::Publish),
            ["consumer", room, name, work] if is_consumer_name(name) => {
                let (work, _) = WORK.iter().find(|(_, text)| text == work)?;
                (room, Operation::Work { consumer: (*name).to_owned(), work: *work })
            }
            _ => return None,
        };
        Some(Self { user, room: room.parse().ok()?, operation })
    }
}

impl fmt::Display for RpcSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = subjects::user_requests(&self.user);
        match &self.operation {
            Operation::History => write!(f, "{space}.history.{}", self.room),
            Operation::Publish => write!(f, "{space}.publish.{}", self.room),
            Operation::Work { consumer, work } => {
                write!(f, "{space}.consumer.{}.{consumer}.{}", self.room, work.as_str())
            }
        }
    }
}

/// Whether this is a name that the bus gives to consumers.
pub fn is_consumer_name(name: &str) -> bool {
    name.strip_prefix("c_").is_some_and(|random| {
        random.len() == CONSUMER_RANDOM
            && random.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// How many random characters the name of a consumer has.
pub const CONSUMER_RANDOM: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_bodies_are_requests() {
        let request = r#"{"from":{"last":10},"max":100}"#;
        let read: HistoryRequest = serde_json::from_str(request).unwrap();
        assert_eq!(read, HistoryRequest { from: HistoryStart::Last(10), max: 100, wait: 0 });
        for foreign in [
            "",
            "{}",
            "[]",
            // What a server says when it has stored something.
            r#"{"stream":"ROOM_X","seq":1}"#,
            r#"{"from":{"seq":1},"max":1,"stream":"ROOM_X"}"#,
            r#"{"from":{"seq":1,"last":1},"max":1}"#,
            r#"{"from":{"seq":1},"from":{"seq":1},"max":1}"#,
            r#"{"from":{"time":"soon"},"max":1}"#,
        ] {
            assert!(serde_json::from_str::<HistoryRequest>(foreign).is_err(), "{foreign} passed");
        }
        assert!(serde_json::from_str::<AckRequest>(r#"{"ack":"1.2.3.4.5"}"#).is_ok());
        for foreign in
            ["1.2.3.4", "1.2.3.4.>", "1.2.3.4.5.6", "a.2.3.4.5", "01.2.3.4.5", "1..3.4.5", "+1.2.3.4.5"]
        {
            assert!(foreign.parse::<AckToken>().is_err(), "{foreign} passed");
        }
    }

    #[test]
    fn subjects_read_back_what_they_print() {
        let user = busauth::Identity::from_seeds([1; 32], [2; 32], [3; 32]).id();
        let room: RoomId = "GEZDGNBVGY3TQOJQGEZDGNBVGY".parse().unwrap();
        let consumer = "c_0123456789abcdef".to_owned();
        for operation in
            [Operation::History, Operation::Publish, Operation::Work { consumer, work: Work::Nak }]
        {
            let subject = RpcSubject { user, room, operation };
            assert_eq!(RpcSubject::parse(&subject.to_string()), Some(subject));
        }
        let space = subjects::user_requests(&user);
        for wrong in [
            format!("{space}.history"),
            format!("{space}.history.{room}.x"),
            format!("{space}.consumer.{room}.c_short.fetch"),
            format!("{space}.consumer.{room}.c_0123456789abcdef.steal"),
            format!("unibus.rpc.nobody.history.{room}"),
        ] {
            assert_eq!(RpcSubject::parse(&wrong), None, "{wrong}");
        }
    }
}
