//! Keys: big endian, so that bytes sort as numbers do, and the stream comes first.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | messages | stream, sequence | record |
//! | subjects | stream, subject, 0, sequence | nothing; for the messages that are listed |
//! | state | stream, key | sealed value |
//!
//! A subject has no zero byte in it, so one subject's range never runs into that of a longer one. Stream 0 is the
//! store's own.

use crate::jetstream::store::{Seq, StreamId};
use std::ops::RangeInclusive;

/// Owner of the store's own state.
pub(super) const OWN: StreamId = StreamId(0);
/// Own state: the head of the batch that was applied last.
pub(super) const HEAD: &[u8] = b"head";
/// Own state: the highest stream number that was ever used.
pub(super) const HIGHEST: &[u8] = b"highest";
/// Own state: a dropped stream whose messages are still to be swept; its number follows.
pub(super) const DROPPED: &[u8] = b"dropped/";

const STREAM: usize = 4;
const SEQ: usize = 8;

/// Key of a message.
pub(super) fn message(stream: StreamId, seq: Seq) -> [u8; STREAM + SEQ] {
    let mut key = [0; STREAM + SEQ];
    key[..STREAM].copy_from_slice(&stream.0.to_be_bytes());
    key[STREAM..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Key of a message in the index of subjects.
pub(super) fn subject(stream: StreamId, subject: &str, seq: Seq) -> Vec<u8> {
    let mut key = Vec::new();
    subject_into(&mut key, stream, subject, seq);
    key
}

/// The same, in place of what `key` holds.
pub(super) fn subject_into(key: &mut Vec<u8>, stream: StreamId, subject: &str, seq: Seq) {
    key.clear();
    key.reserve(STREAM + subject.len() + 1 + SEQ);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.extend_from_slice(subject.as_bytes());
    key.push(0);
    key.extend_from_slice(&seq.to_be_bytes());
}

/// Key of a state entry, or what the keys of several begin with.
pub(super) fn state(stream: StreamId, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::new();
    state_into(&mut full, stream, key);
    full
}

/// The same, in place of what `full` holds.
pub(super) fn state_into(full: &mut Vec<u8>, stream: StreamId, key: &[u8]) {
    full.clear();
    full.reserve(STREAM + key.len());
    full.extend_from_slice(&stream.0.to_be_bytes());
    full.extend_from_slice(key);
}

/// Key of the mark that a dropped stream is still to be swept.
pub(super) fn dropped(stream: StreamId) -> Vec<u8> {
    let mut key = state(OWN, DROPPED);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key
}

/// What a key of state is called by its stream.
pub(super) fn state_name(key: &[u8]) -> &[u8] {
    key.get(STREAM..).unwrap_or_default()
}

/// The stream a key belongs to.
pub(super) fn stream_of(key: &[u8]) -> Option<StreamId> {
    Some(StreamId(u32::from_be_bytes(*key.first_chunk()?)))
}

/// The sequence that the key of a message, or of its index entry, ends with.
pub(super) fn seq_of(key: &[u8]) -> Option<Seq> {
    (key.len() >= STREAM + SEQ).then(|| key.last_chunk().copied().map(u64::from_be_bytes)).flatten()
}

/// Both ends of the messages of a stream, inclusive.
pub(super) fn messages(stream: StreamId, range: &RangeInclusive<Seq>) -> RangeInclusive<[u8; STREAM + SEQ]> {
    message(stream, *range.start())..=message(stream, *range.end())
}

/// Both ends of one subject's index entries, inclusive.
pub(super) fn subjects(stream: StreamId, name: &str, range: &RangeInclusive<Seq>) -> RangeInclusive<Vec<u8>> {
    subject(stream, name, *range.start())..=subject(stream, name, *range.end())
}
