//! The state entry of a subject, where it stands in for the index of subjects.
//!
//! What is kept of a subject is up to the stream. But while the subject has one message that is not listed, its entry is
//! just that sequence: so that a store that was damaged knows of each message that it should have.

use bytes::Bytes;

use super::Seq;

/// What the keys of subjects' state entries begin with; the subject follows.
pub(crate) const SUBJECT: u8 = b's';

/// Key of a subject's state entry.
pub(crate) fn key(subject: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(1 + subject.len());
    key.push(SUBJECT);
    key.extend_from_slice(subject.as_bytes());
    key.into()
}

/// Value of the entry of a subject whose only message is not listed.
pub(crate) fn value(seq: Seq) -> Bytes {
    Bytes::copy_from_slice(&seq.to_be_bytes())
}

/// The only message, where a value is that of such an entry.
pub(crate) fn parse(value: &[u8]) -> Option<Seq> {
    value.try_into().map(Seq::from_be_bytes).ok()
}

/// The message that a state entry names as the only one of its subject.
pub(crate) fn named_by(key: &[u8], value: &[u8]) -> Option<Seq> {
    if key.first() == Some(&SUBJECT) { parse(value) } else { None }
}
