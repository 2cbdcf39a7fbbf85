//! Messages that end at a time of their own (`Nats-TTL`), and the markers that take the place of a subject's last one.
//!
//! Deadlines are state entries whose keys begin with the deadline, so that what is due is found without looking at
//! anything else, and found again after a restart.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{
    headers::Headers,
    store::{Change, Record, Seq, StoreError, StreamId},
    stream::Stream,
    stream_config::StreamConfig,
};

/// Header with which a message asks for its life time.
pub(crate) const TTL: &str = "Nats-TTL";

/// Header of a message that stands for those that have expired.
const MARKER_REASON: &str = "Nats-Marker-Reason";

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

impl Ttl {
    /// Nanoseconds that a message lives in a stream with this configuration; `None` when it stays.
    pub(crate) fn life(self, config: &StreamConfig) -> Option<i64> {
        let Self::After(ttl) = self else { return None };
        // The marker that follows lives that long; a message that ended before it would leave none to see.
        let raised = config.max_msgs_per_subject != 1 && config.subject_delete_marker_ttl > ttl;
        Some(if raised { config.subject_delete_marker_ttl } else { ttl })
    }
}

/// When a stored message ends by its own wish, as the configuration is now.
pub(crate) fn deadline(record: &Record, config: &StreamConfig) -> Option<i64> {
    Some(record.time.saturating_add(Ttl::parse(Headers::of(record).get(TTL)?)?.life(config)?))
}

/// Whether a message stays, whatever the age limit of its stream.
pub(crate) fn stays(record: &Record) -> bool {
    Headers::of(record).get(TTL).is_some_and(|ttl| Ttl::parse(ttl) == Some(Ttl::Never))
}

/// Whether a message stands for those that have expired.
pub(crate) fn is_marker(record: &Record) -> bool {
    Headers::of(record).get(MARKER_REASON).is_some()
}

/// The header block of a marker that lives so many nanoseconds.
pub(crate) fn marker(ttl: i64) -> Vec<u8> {
    let ttl = super::duration::format(ttl);
    format!("NATS/1.0\r\n{MARKER_REASON}: MaxAge\r\n{TTL}: {ttl}\r\nNats-Rollup: sub\r\n\r\n").into_bytes()
}

/// The change that notes a deadline.
pub(crate) fn entry(stream: StreamId, deadline: i64, seq: Seq) -> Change {
    Change::SetState { stream, key: key(deadline, seq), value: Bytes::new() }
}

/// The change that forgets a deadline, if it was noted.
pub(crate) fn past(stream: StreamId, deadline: i64, seq: Seq) -> Change {
    Change::ClearState { stream, key: key(deadline, seq) }
}

fn key(deadline: i64, seq: Seq) -> Box<[u8]> {
    let mut key = vec![DEADLINE];
    key.extend_from_slice(&deadline.to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    key.into()
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
