//! What a room keeps: read from the bus, judged as messages from long ago, decrypted where this identity has the key.
//!
//! The server may leave out, repeat and reorder what it keeps, and nothing here can notice that. It cannot forge,
//! change, or read what is encrypted.

mod replay;

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;
use control_api::Timestamp;
use control_api::history::{HistoryRequest, HistoryStart, Operation, RpcErrorCode, RpcSubject, header};
use futures_util::StreamExt as _;
use room_protocol::History;

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageError};
use crate::receive;
use crate::room::Room;

pub use replay::Replay;

/// A page has about 1 MiB, and one message more.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Where to begin in what a room keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFrom {
    /// With the oldest message.
    First,
    /// With this number, or the first one after it.
    Seq(u64),
    /// With the first message stored at this time or later, in Unix seconds.
    Time(u64),
    /// So many messages before the end.
    Last(u64),
}

/// One message that a room keeps, or why what is kept there is none.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stored {
    /// Its number in the room's history; grows, with gaps where messages were removed.
    pub seq: u64,
    /// When the bus says that it stored it, Unix milliseconds. Nobody signs this.
    pub stored_at: u64,
    /// The message. Its `standing` says whether it would be refused if it were sent now.
    pub message: Result<Message, MessageError>,
}

/// Reads what a room keeps, page by page.
#[derive(Debug)]
pub struct HistoryReader {
    room: Room,
    start: HistoryStart,
    more: Option<u64>,
}

/// Some messages in a row.
#[derive(Debug)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The messages, oldest first.
    pub messages: Vec<Stored>,
    /// The number that the next page begins with.
    pub next: u64,
    /// How many messages are kept beyond this page, as the bus says.
    pub more: u64,
}

impl Room {
    /// Reads what the room keeps, from there on.
    ///
    /// A room made with [`History::Shared`] keeps its messages. Whoever is a member reads all of them as far as it has
    /// the keys; an owner who adds somebody hands them over.
    pub fn history(&self, from: HistoryFrom) -> Result<HistoryReader> {
        if self.state().history() == History::None {
            return Err(no_history());
        }
        let start = match from {
            HistoryFrom::First => HistoryStart::Seq(1),
            HistoryFrom::Seq(seq) => HistoryStart::Seq(seq.max(1)),
            HistoryFrom::Time(seconds) => HistoryStart::Time(Timestamp::from_unix(seconds)),
            // Nothing before the end is what comes behind it.
            HistoryFrom::Last(0) => HistoryStart::Time(Timestamp::from_unix(u64::MAX)),
            HistoryFrom::Last(count) => HistoryStart::Last(count),
        };
        Ok(HistoryReader { room: self.clone(), start, more: None })
    }

    /// What the room keeps from there on, and then what is sent, without a gap and without repeats.
    pub async fn replay(&self, from: HistoryFrom) -> Result<Replay> {
        Replay::start(self, from).await
    }
}

impl HistoryReader {
    /// The next page of at most `max` messages; empty when nothing more is kept.
    pub async fn page(&mut self, max: u64) -> Result<HistoryPage> {
        self.page_within(max, 0).await
    }

    /// The same, and when nothing is there, waits up to `wait` seconds (60 at most) for a message to be stored.
    pub async fn page_within(&mut self, max: u64, wait: u64) -> Result<HistoryPage> {
        let core = &self.room.core;
        core.synced().await?;
        let request = HistoryRequest {
            from: self.start,
            max: max.clamp(1, HistoryRequest::MAX),
            wait: wait.min(HistoryRequest::MAX_WAIT),
        };
        let Wire { messages, next, more, .. } = self.ask(&request).await?;
        let mut judge = Judge::new(&self.room);
        let mut stored = Vec::with_capacity(messages.len());
        for message in messages {
            stored.push(judge.judge(message).await?);
        }
        self.start = HistoryStart::Seq(next);
        self.more = Some(more);
        Ok(HistoryPage { messages: stored, next, more })
    }

    /// Whether the page before was the last, for now. Unknown before the first page.
    pub fn is_at_end(&self) -> bool {
        self.more == Some(0)
    }

    async fn ask(&self, request: &HistoryRequest) -> Result<Wire> {
        let bus = &self.room.core.bus;
        bus.connected().await?;
        let closed = |source| Error::new(ErrorKind::Closed, "the connection is closed").with_source(source);
        let operation = Operation::History;
        let subject = RpcSubject { user: bus.user, room: self.room.id(), operation }.to_string();
        let body = serde_json::to_vec(request).map_err(|source| {
            Error::new(ErrorKind::Invalid, "the request cannot be written").with_source(source)
        })?;
        let inbox = bus.nats.new_inbox();
        let mut answers =
            bus.nats.subscribe(inbox.clone()).await.map_err(|source| closed(source.to_string()))?;
        let asked = bus.nats.publish_with_reply(subject, inbox, Bytes::from(body)).await;
        asked.map_err(|source| closed(source.to_string()))?;
        let mut wire = Wire::default();
        // The first message may take as long as was asked for; then they come in a row.
        let mut patience = bus.tuning.request_timeout + std::time::Duration::from_secs(request.wait);
        loop {
            let answer = tokio::select! {
                () = bus.stop.cancelled() => return Err(Error::closed()),
                answer = tokio::time::timeout(patience, answers.next()) => answer,
            };
            let answer = match answer {
                Ok(Some(answer)) => answer,
                Ok(None) => return Err(Error::closed()),
                Err(_) => {
                    return Err(Error::new(ErrorKind::Timeout, "the bus did not send the history in time"));
                }
            };
            patience = bus.tuning.request_timeout;
            if wire.add(answer, request.max)? {
                return Ok(wire);
            }
        }
    }
}

/// A page as it came.
#[derive(Default)]
struct Wire {
    messages: Vec<Kept>,
    bytes: usize,
    next: u64,
    more: u64,
}

/// One message as it came.
struct Kept {
    seq: u64,
    stored_at: u64,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Wire {
    /// Takes one message of the answer. Answers whether it was the last.
    fn add(&mut self, answer: async_nats::Message, max: u64) -> Result<bool> {
        if answer.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
            return Err(Error::new(ErrorKind::Unavailable, "this bus does not answer requests for history"));
        }
        let headers = answer.headers.unwrap_or_default();
        let value = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
        let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
        if let Some(code) = value(header::ERROR) {
            return Err(refused(code, &answer.payload));
        }
        if let Some(next) = number(header::END) {
            self.next = next;
            self.more = number(header::MORE).unwrap_or(0);
            return Ok(true);
        }
        let (Some(seq), Some(time), Some(subject)) =
            (number(header::SEQ), value(header::TIME), value(header::SUBJECT))
        else {
            return Err(Error::new(ErrorKind::Protocol, "the bus sent something else than stored messages"));
        };
        self.bytes += answer.payload.len() + answer.length;
        if self.messages.len() as u64 >= max || self.bytes > PAGE_BYTES {
            return Err(Error::new(ErrorKind::Protocol, "the bus sent more messages than were asked for"));
        }
        let time: jiff::Timestamp = time.parse().map_err(|source| {
            Error::new(ErrorKind::Protocol, "the bus stored a message at no time").with_source(source)
        })?;
        let (stored_at, subject) = (u64::try_from(time.as_millisecond()).unwrap_or(0), subject.to_owned());
        self.messages.push(Kept { seq, stored_at, subject, headers, payload: answer.payload });
        Ok(false)
    }
}

/// Judges the messages of one page. Remembers which keys could not be had, so that each is asked for once.
struct Judge<'r> {
    room: &'r Room,
    keyless: BTreeMap<u64, MessageError>,
}

impl<'r> Judge<'r> {
    fn new(room: &'r Room) -> Self {
        Self { room, keyless: BTreeMap::new() }
    }

    async fn judge(&mut self, kept: Kept) -> Result<Stored> {
        let Kept { seq, stored_at, subject, headers, payload } = kept;
        let wire = receive::Kept { subject, headers, payload, stored_at };
        let message = receive::receive_stored(&self.room.core, wire, &mut self.keyless).await;
        Ok(Stored { seq, stored_at, message })
    }
}

fn no_history() -> Error {
    Error::new(ErrorKind::NoHistory, "the room was made without history: nothing of it is kept")
}

fn refused(code: &str, detail: &[u8]) -> Error {
    let kind = match RpcErrorCode::from_text(code) {
        Some(RpcErrorCode::NotAMember) => ErrorKind::NotAMember,
        Some(RpcErrorCode::NoHistory) => return no_history(),
        Some(RpcErrorCode::Busy | RpcErrorCode::Unavailable) => ErrorKind::Unavailable,
        _ => ErrorKind::Forbidden,
    };
    let detail = std::str::from_utf8(detail).ok().filter(|text| !text.is_empty() && text.len() < 200);
    Error::new(kind, format!("the bus refuses: {}", detail.unwrap_or("it does not say why")))
}
