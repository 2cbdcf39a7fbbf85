//! What a room keeps: read from the bus, judged as messages from long ago, decrypted where this identity has the key.
//!
//! The server may leave out, repeat and reorder what it keeps, and nothing here can notice that. It cannot forge,
//! change, or read what is encrypted.

mod replay;

use std::collections::BTreeMap;
use std::time::Duration;

use control_api::Timestamp;
use control_api::history::{HistoryRequest, HistoryStart, Operation};
use room_protocol::History;

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageError};
use crate::receive;
use crate::room::Room;
use crate::rpc::{self, Answer, Kept};
use crate::subscription::OwnMessages;

pub use replay::Replay;

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
    /// Where it was before it was moved to this bus, if it was.
    pub origin: Option<Origin>,
    /// The message. Its `standing` says whether it would be refused if it were sent now.
    pub message: Result<Message, MessageError>,
}

/// Where a message was before a bus was moved, as headers of the message say. Nobody signs this, and whoever may write in
/// the room can set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The number that it had in the room's history.
    pub seq: u64,
    /// When it was stored there, Unix milliseconds; never after it was stored here.
    pub stored_at: u64,
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
        self.replay_with(from, OwnMessages::Deliver).await
    }

    /// The same; with [`OwnMessages::Skip`] without what was sent through this very [`crate::Bus`].
    pub async fn replay_with(&self, from: HistoryFrom, own: OwnMessages) -> Result<Replay> {
        Replay::start(self, from, own).await
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
        let wait = Duration::from_secs(request.wait);
        let answer = rpc::ask(&self.room, Operation::History, &request, request.max, wait).await?;
        let Answer { messages, next, more, .. } = answer;
        let mut judge = Judge::new(&self.room);
        let mut stored = Vec::with_capacity(messages.len());
        for message in messages {
            stored.push(judge.judge(message).await?);
        }
        self.start = HistoryStart::Seq(next);
        self.more = Some(more);
        Ok(HistoryPage { messages: stored, next, more })
    }

    /// The next page begins with this number.
    fn go_to(&mut self, seq: u64) {
        self.start = HistoryStart::Seq(seq.max(1));
    }

    /// Whether the page before was the last, for now. Unknown before the first page.
    pub fn is_at_end(&self) -> bool {
        self.more == Some(0)
    }
}

/// Judges the messages of one answer. Remembers which keys could not be had, so that each is asked for once.
pub(crate) struct Judge<'r> {
    room: &'r Room,
    keyless: BTreeMap<u64, MessageError>,
}

impl<'r> Judge<'r> {
    pub(crate) fn new(room: &'r Room) -> Self {
        Self { room, keyless: BTreeMap::new() }
    }

    pub(crate) async fn judge(&mut self, kept: Kept) -> Result<Stored> {
        let Kept { seq, stored_at, origin, subject, headers, payload } = kept;
        // Who reads wants to know when it was sent, and not when the bus was moved.
        let first_stored_at = origin.map_or(stored_at, |origin| origin.stored_at);
        let wire = receive::Kept { subject, headers, payload, stored_at: first_stored_at };
        let message = receive::receive_stored(&self.room.core, wire, &mut self.keyless).await;
        Ok(Stored { seq, stored_at, origin, message })
    }
}

pub(crate) fn no_history() -> Error {
    Error::new(ErrorKind::NoHistory, "the room was made without history: nothing of it is kept")
}
