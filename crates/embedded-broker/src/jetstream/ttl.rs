//! Messages that end at a time of their own (`Nats-TTL`), and the markers that take the place of a subject's last one.
//!
//! Deadlines are state entries whose keys begin with the deadline, so that what is due is found without looking at
//! anything else, and found again after a restart.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{
    store::{Change, Seq, StoreError, StreamId},
    stream::Stream,
};

/// What the keys of deadlines begin with.
const DEADLINE: u8 = b'x';

const SECOND: i64 = 1_000_000_000;

/// A life time that a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// It stays, whatever the age limit of its stream.
    Never,
    /// Nanoseconds: whole seconds, at least one.
    After(i64),
}

impl Ttl {
    /// Reads the header: seconds, a duration as Go writes it, or `never`. `None` when it is none of these, or shorter
    /// than a second.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("never") {
            return Some(Self::Never);
        }
        let nanoseconds = match text.parse::<i64>() {
            Ok(seconds) => seconds.checked_mul(SECOND)?,
            Err(_) => super::duration::parse(text)?,
        };
        (nanoseconds >= SECOND).then_some(Self::After(nanoseconds / SECOND * SECOND))
    }
}

/// The change that notes a deadline.
pub(crate) fn entry(stream: StreamId, deadline: i64, seq: Seq) -> Change {
    let mut key = vec![DEADLINE];
    key.extend_from_slice(&deadline.to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    Change::SetState { stream, key: key.into(), value: Bytes::new() }
}

/// A deadline that is past: the key of its entry, and the message.
pub(crate) type Due = (Box<[u8]>, Seq);

/// Up to `limit` deadlines that are past.
pub(crate) fn due(stream: &Stream, now: i64, limit: usize) -> Result<Vec<Due>, StoreError> {
    let mut due = Vec::new();
    stream.store.scan_state(stream.id, &[DEADLINE], &mut |key, _| match decode(key) {
        Some((deadline, _)) if deadline > now || due.len() >= limit => ControlFlow::Break(()),
        Some((_, seq)) => {
            due.push((key.into(), seq));
            ControlFlow::Continue(())
        }
        None => ControlFlow::Continue(()),
    })?;
    Ok(due)
}

/// The next deadline.
pub(crate) fn next(stream: &Stream) -> Result<Option<i64>, StoreError> {
    let mut next = None;
    stream.store.scan_state(stream.id, &[DEADLINE], &mut |key, _| {
        next = decode(key).map(|(deadline, _)| deadline);
        ControlFlow::Break(())
    })?;
    Ok(next)
}

fn decode(key: &[u8]) -> Option<(i64, Seq)> {
    let (deadline, seq) = key.strip_prefix(&[DEADLINE])?.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*deadline), Seq::from_be_bytes(seq.try_into().ok()?)))
}
