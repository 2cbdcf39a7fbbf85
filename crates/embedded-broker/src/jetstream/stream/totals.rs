//! What a stream counts, and how it is stored: so that starting takes time with the number of subjects, not with the
//! number of messages.

use std::num::NonZero;

use bytes::{Buf, BufMut, Bytes};

use crate::jetstream::{
    store::{Change, Record, Seq, StreamId, only},
    stream_config::Storage,
};

/// Key of a stream's totals among its state entries.
pub(crate) const TOTALS: &[u8] = b"t";

/// Counters of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) messages: u64,
    /// As JetStream counts them; see [`message_bytes`].
    pub(crate) bytes: u64,
    /// No message is before this sequence.
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    /// When the last message was stored: nanoseconds since 1970; 0 before the first one.
    pub(crate) last_time: i64,
}

/// Counters of one subject of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubjectTotals {
    /// No message of the subject is before this sequence.
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) count: u64,
    /// The one stored message that is not listed in the store's index of subjects, because no other was stored with it;
    /// none when all that are stored are listed.
    pub(crate) unlisted: Option<NonZero<Seq>>,
}

impl Totals {
    /// The change that stores them.
    pub(crate) fn change(self, stream: StreamId) -> Change {
        Change::SetState { stream, key: TOTALS.into(), value: self.encode() }
    }

    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = Vec::with_capacity(40);
        for number in [self.messages, self.bytes, self.first_seq, self.last_seq] {
            bytes.put_u64(number);
        }
        bytes.put_i64(self.last_time);
        bytes.into()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 40).then(|| Self {
            messages: bytes.get_u64(),
            bytes: bytes.get_u64(),
            first_seq: bytes.get_u64(),
            last_seq: bytes.get_u64(),
            last_time: bytes.get_i64(),
        })
    }
}

impl SubjectTotals {
    /// Of a subject whose first message this is.
    pub(crate) fn of_one(seq: Seq) -> Self {
        Self { first: seq, last: seq, count: 1, unlisted: NonZero::new(seq) }
    }

    pub(crate) fn encode(self) -> Bytes {
        if let Some(seq) = self.unlisted {
            return only::value(seq.get());
        }
        let mut bytes = Vec::with_capacity(24);
        for number in [self.first, self.last, self.count] {
            bytes.put_u64(number);
        }
        bytes.into()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if let Some(seq) = only::parse(bytes) {
            return Some(Self::of_one(seq));
        }
        (bytes.len() == 24).then(|| Self {
            first: bytes.get_u64(),
            last: bytes.get_u64(),
            count: bytes.get_u64(),
            unlisted: None,
        })
    }

    /// Which messages are listed once all that is counted is stored; `first_new` and later ones are stored next.
    pub(crate) fn listing(&self, first_new: Seq) -> Listing {
        if self.count == 1 && (self.unlisted.is_some() || self.last >= first_new) {
            return Listing::Nothing;
        }
        // It was removed if the first one is a later one.
        let late = self.unlisted.map(NonZero::get).filter(|seq| *seq == self.first && *seq < first_new);
        Listing::All { late }
    }
}

/// Which messages of a subject are listed in the store's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// The only one is not.
    Nothing,
    /// All are; of those that are stored already, this one is not yet.
    All { late: Option<Seq> },
}

/// What a message counts for in limits and totals, as nats-server counts it.
pub(crate) fn message_bytes(storage: Storage, record: &Record) -> u64 {
    let (subject, data) = (record.subject.len() as u64, record.data.len() as u64);
    match storage {
        Storage::Memory => subject + data + 16,
        Storage::File if record.header_len > 0 => 34 + subject + data,
        Storage::File => 30 + subject + data,
    }
}
