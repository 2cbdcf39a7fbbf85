//! Reading, also around what cannot be read.

use super::{
    engine::Engine,
    failed, keys,
    record::{self, Salt},
};
use crate::jetstream::store::{Record, Seq, StoreError, StreamId};
use bytes::Bytes;
use fjall::{Guard, Keyspace, UserKey};
use std::ops::{Bound, ControlFlow, RangeInclusive};

/// When a part of a table cannot be read, it cannot be seen which of its sequences were there. So many of them at most,
/// the last, are reported as damaged.
const MAX_UNKNOWN: u64 = 10_000;

/// An engine, and whom to tell about damage.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a Engine,
    pub(super) salt: Salt,
    pub(super) on_damage: &'a dyn Fn(),
}

impl Reader<'_> {
    fn failed(&self, error: fjall::Error) -> StoreError {
        (self.on_damage)();
        failed(error)
    }

    fn damaged(&self, stream: StreamId, seq: Seq) -> StoreError {
        (self.on_damage)();
        StoreError::Damaged { stream, seq }
    }

    pub(super) fn get(&self, stream: StreamId, seq: Seq) -> Result<Option<Record>, StoreError> {
        match self.engine.messages.get(keys::message(stream, seq)) {
            Ok(None) => Ok(None),
            Ok(Some(value)) => record::decode(self.salt, stream, seq, value)
                .map(Some)
                .ok_or_else(|| self.damaged(stream, seq)),
            Err(error) => {
                tracing::error!(%error, stream = stream.0, seq, "a message cannot be read");
                Err(self.damaged(stream, seq))
            }
        }
    }

    pub(super) fn scan(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (mut next, end) = range.into_inner();
        while next <= end {
            let before = next;
            let mut entries = self.engine.messages.range(keys::messages(stream, &(next..=end)));
            let failed = loop {
                let Some(entry) = entries.next() else { return Ok(()) };
                let Ok((key, value)) = entry.into_inner() else { break true };
                let Some(seq) = keys::seq_of(&key) else { continue };
                let record =
                    record::decode(self.salt, stream, seq, value).ok_or_else(|| self.damaged(stream, seq));
                if visit(seq, record).is_break() || seq == Seq::MAX {
                    return Ok(());
                }
                next = seq + 1;
            };
            debug_assert!(failed && before <= next);
            match self.pass_damage(stream, next..=end, visit) {
                ControlFlow::Continue(Some(readable)) => next = readable,
                ControlFlow::Continue(None) | ControlFlow::Break(()) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reports what cannot be read at the start of a range, and tells where it goes on.
    fn pass_damage(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) -> ControlFlow<(), Option<Seq>> {
        let (first, end) = range.into_inner();
        let next_key = |seq: Seq| {
            let next = self.engine.messages.range(keys::messages(stream, &(seq..=end))).next();
            next.map(Guard::key).transpose()
        };
        // A value in a log cannot be read: its key can, and says which.
        let (bad, readable) = match next_key(first) {
            Ok(key) => {
                let Some(seq) = key.as_deref().and_then(keys::seq_of) else {
                    return ControlFlow::Continue(None);
                };
                (seq..=seq, seq.checked_add(1))
            }
            Err(error) => {
                tracing::error!(%error, stream = stream.0, seq = first, "part of a table cannot be read");
                let readable = first_that(first, end, |seq| next_key(seq).is_ok());
                let last = readable.map_or(end, |readable| readable - 1);
                (first.max(last.saturating_sub(MAX_UNKNOWN))..=last, readable)
            }
        };
        for seq in bad {
            if let Err(error) = self.get(stream, seq) {
                visit(seq, Err(error))?;
            }
        }
        ControlFlow::Continue(readable)
    }

    pub(super) fn scan_back(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (first, mut last) = range.into_inner();
        while first <= last {
            let keys = |last: Seq| self.engine.messages.range(keys::messages(stream, &(first..=last)));
            for entry in keys(last).rev() {
                let Ok(key) = entry.key() else { break };
                let Some(seq) = keys::seq_of(&key) else { continue };
                if visit(seq).is_break() || seq == first {
                    return Ok(());
                }
                last = seq - 1;
            }
            // Either there are no more, or what is next cannot be read and is passed over.
            let is_readable = |last: Seq| keys(last).next_back().is_none_or(|entry| entry.key().is_ok());
            if is_readable(last) {
                return Ok(());
            }
            (self.on_damage)();
            match last_that(first, last, is_readable) {
                Some(readable) => last = readable,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    pub(super) fn scan_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        for entry in self.engine.subjects.range(keys::subjects(stream, subject, &range)) {
            let key = entry.key().map_err(|error| self.failed(error))?;
            if keys::seq_of(&key).is_some_and(|seq| visit(seq).is_break()) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn last_of_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        if range.is_empty() {
            return Ok(None);
        }
        let last = self.engine.subjects.range(keys::subjects(stream, subject, &range)).next_back();
        let key = last.map(Guard::key).transpose().map_err(|error| self.failed(error))?;
        Ok(key.as_deref().and_then(keys::seq_of))
    }

    pub(super) fn state(&self, stream: StreamId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let key = keys::state(stream, key);
        let value = self.engine.state.get(&key).map_err(|error| self.failed(error))?;
        value.map(|value| self.unseal(&key, &value)).transpose()
    }

    fn unseal(&self, key: &[u8], sealed: &[u8]) -> Result<Bytes, StoreError> {
        record::unseal(self.salt, key, sealed).map(Bytes::copy_from_slice).ok_or_else(|| {
            (self.on_damage)();
            StoreError::DamagedState { stream: keys::stream_of(key).unwrap_or(keys::OWN) }
        })
    }

    pub(super) fn scan_state(
        &self,
        stream: StreamId,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for entry in self.engine.state.prefix(keys::state(stream, prefix)) {
            let (key, value) = entry.into_inner().map_err(|error| self.failed(error))?;
            let value = self.unseal(&key, &value)?;
            if visit(keys::state_name(&key), value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The streams that have state, by number.
    pub(super) fn streams(&self) -> Result<Vec<StreamId>, StoreError> {
        let mut streams = Vec::new();
        let mut next = keys::OWN.next()?;
        loop {
            let entry = self.engine.state.range(keys::state(next, &[])..).next();
            let key = entry.map(Guard::key).transpose().map_err(|error| self.failed(error))?;
            let Some(stream) = key.as_deref().and_then(keys::stream_of) else { return Ok(streams) };
            streams.push(stream);
            let Ok(following) = stream.next() else { return Ok(streams) };
            next = following;
        }
    }

    /// A dropped stream that is not swept yet.
    pub(super) fn dropped(&self) -> Result<Option<StreamId>, StoreError> {
        let first = self.engine.state.prefix(keys::state(keys::OWN, keys::DROPPED)).next();
        let key = first.map(Guard::key).transpose().map_err(|error| self.failed(error))?;
        let number = key.as_deref().and_then(|key| key.last_chunk().copied());
        Ok(number.map(|number| StreamId(u32::from_be_bytes(number))))
    }

    /// Keys of a stream in a keyspace, after a key, at most so many.
    pub(super) fn keys_of(
        &self,
        keyspace: &Keyspace,
        stream: StreamId,
        after: Option<&Vec<u8>>,
        count: usize,
    ) -> Result<Vec<UserKey>, StoreError> {
        let first = keys::state(stream, &[]);
        let start = after.map_or(Bound::Included(&first), Bound::Excluded).cloned();
        let end = match stream.next() {
            Ok(next) => Bound::Excluded(keys::state(next, &[])),
            Err(_) => Bound::Unbounded,
        };
        let keys = keyspace.range((start, end)).take(count).map(Guard::key);
        keys.collect::<fjall::Result<_>>().map_err(|error| self.failed(error))
    }
}

/// The first number after `first` of which something is true, that is true of all later ones as well.
fn first_that(first: u64, end: u64, is_true: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut step) = (first, 1_u64);
    let mut high = loop {
        let probe = low.saturating_add(step).min(end);
        if probe == low {
            return None;
        }
        if is_true(probe) {
            break probe;
        }
        low = probe;
        step = step.saturating_mul(2);
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_true(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// The last number before `last` of which something is true, that is true of all earlier ones as well.
fn last_that(first: u64, last: u64, is_true: impl Fn(u64) -> bool) -> Option<u64> {
    let mirrored = first_that(0, last - first, |distance| is_true(last - distance))?;
    Some(last - mirrored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_searches_find_the_edge() {
        for end in 0..40 {
            for edge in 1..=end {
                assert_eq!(first_that(0, end, |number| number >= edge), Some(edge), "{edge} of {end}");
                assert_eq!(last_that(0, end, |number| number < edge), Some(edge - 1), "{edge} of {end}");
            }
            assert_eq!(first_that(0, end, |_| false), None);
            assert_eq!(last_that(0, end, |_| false), None);
        }
    }
}
