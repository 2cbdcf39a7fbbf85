//! What a stream counts, and how it is stored: so that starting takes time with the number of subjects, not with the
//! number of messages.

use bytes::{Buf, BufMut, Bytes};

use crate::jetstream::{
    store::{Change, Record, Seq, StreamId},
    stream_config::Storage,
};

/// Key of a stream's totals among its state entries.
pub(crate) const TOTALS: &[u8] = b"t";

/// What the keys of a stream's subjects begin with.
pub(crate) const SUBJECT: u8 = b's';

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
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = Vec::with_capacity(24);
        for number in [self.first, self.last, self.count] {
            bytes.put_u64(number);
        }
        bytes.into()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 24).then(|| Self {
            first: bytes.get_u64(),
            last: bytes.get_u64(),
            count: bytes.get_u64(),
        })
    }
}

/// Key of a subject's totals among the state entries of its stream.
pub(crate) fn subject_key(subject: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(1 + subject.len());
    key.push(SUBJECT);
    key.extend_from_slice(subject.as_bytes());
    key.into()
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
