//! Reading, also around what cannot be read.

use super::{
    engine::Engine,
    failed, keys,
    record::{self, Salt},
};
use crate::jetstream::store::{Record, Seq, StoreError, StreamId};
use bytes::Bytes;
use fjall::{Guard, Keyspace, UserKey};
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow, RangeInclusive};

/// So many sequences are asked for one by one where an iterator stops, at first and at most.
const FIRST_WALK: u64 = 64;
const MAX_WALK: u64 = 8192;

/// An engine, and whom to tell about damage.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a Engine,
    pub(super) salt: Salt,
    /// Which message is damaged, where that is known.
    pub(super) on_damage: &'a dyn Fn(Option<(StreamId, Seq)>),
}

impl Reader<'_> {
    fn failed(&self, error: fjall::Error) -> StoreError {
        (self.on_damage)(None);
        failed(error)
    }

    fn damaged(&self, stream: StreamId, seq: Seq) -> StoreError {
        (self.on_damage)(Some((stream, seq)));
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

    /// A block that cannot be read stops an iterator for good, also before messages that are not in it but in other
    /// tables. So where it stops, messages are asked for one by one, for longer and longer until it goes on.
    pub(super) fn scan(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) {
        let (mut next, end) = range.into_inner();
        let mut walk = FIRST_WALK;
        while next <= end {
            let mut is_stopped = false;
            for entry in self.engine.messages.range(keys::messages(stream, &(next..=end))) {
                let Ok((key, value)) = entry.into_inner() else {
                    is_stopped = true;
                    break;
                };
                let Some(seq) = keys::seq_of(&key) else { continue };
                let record =
                    record::decode(self.salt, stream, seq, value).ok_or_else(|| self.damaged(stream, seq));
                if visit(seq, record).is_break() || seq == end {
                    return;
                }
                next = seq + 1;
                walk = FIRST_WALK;
            }
            if !is_stopped {
                return;
            }
            let last = end.min(next.saturating_add(walk));
            for seq in next..=last {
                let record = match self.get(stream, seq) {
                    Ok(None) => continue,
                    Ok(Some(record)) => Ok(record),
                    Err(error) => Err(error),
                };
                if visit(seq, record).is_break() {
                    return;
                }
            }
            let Some(following) = last.checked_add(1) else { return };
            next = following;
            walk = MAX_WALK.min(2 * walk);
        }
    }

    /// As [`Self::scan`], the other way.
    pub(super) fn scan_back(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) {
        let (first, mut last) = range.into_inner();
        let mut walk = FIRST_WALK;
        while first <= last {
            let mut is_stopped = false;
            for entry in self.engine.messages.range(keys::messages(stream, &(first..=last))).rev() {
                let Ok(key) = entry.key() else {
                    is_stopped = true;
                    break;
                };
                let Some(seq) = keys::seq_of(&key) else { continue };
                if visit(seq).is_break() || seq == first {
                    return;
                }
                last = seq - 1;
                walk = FIRST_WALK;
            }
            if !is_stopped {
                return;
            }
            (self.on_damage)(None);
            let end = first.max(last.saturating_sub(walk));
            for seq in (end..=last).rev() {
                let is_there = self.engine.messages.contains_key(keys::message(stream, seq));
                if is_there.unwrap_or(false) && visit(seq).is_break() {
                    return;
                }
            }
            let Some(following) = end.checked_sub(1) else { return };
            last = following;
            walk = MAX_WALK.min(2 * walk);
        }
    }

    pub(super) fn scan_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) {
        if range.is_empty() {
            return;
        }
        let mut next = *range.start();
        for entry in self.engine.subjects.range(keys::subjects(stream, subject, &range)) {
            let key = match entry.key() {
                Ok(key) => key,
                // The messages know their subjects too; it only takes longer.
                Err(error) => {
                    self.index_failed(stream, &error);
                    let matching = &mut |seq, record: Result<Record, _>| match record {
                        Ok(record) if *record.subject == *subject => visit(seq),
                        _ => ControlFlow::Continue(()),
                    };
                    return self.scan(stream, next..=*range.end(), matching);
                }
            };
            let Some(seq) = keys::seq_of(&key) else { continue };
            if visit(seq).is_break() || seq == Seq::MAX {
                return;
            }
            next = seq + 1;
        }
    }

    pub(super) fn last_of_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
    ) -> Option<Seq> {
        if range.is_empty() {
            return None;
        }
        let last = self.engine.subjects.range(keys::subjects(stream, subject, &range)).next_back()?;
        match last.key() {
            Ok(key) => keys::seq_of(&key),
            Err(error) => {
                self.index_failed(stream, &error);
                let mut last = None;
                self.scan_back(stream, range, &mut |seq| match self.get(stream, seq) {
                    Ok(Some(record)) if *record.subject == *subject => {
                        last = Some(seq);
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                });
                last
            }
        }
    }

    fn index_failed(&self, stream: StreamId, error: &fjall::Error) {
        tracing::error!(%error, stream = stream.0, "part of the index of subjects cannot be read");
        (self.on_damage)(None);
    }

    pub(super) fn state(&self, stream: StreamId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let key = keys::state(stream, key);
        let value = self.engine.state.get(&key).map_err(|error| self.failed(error))?;
        value.map(|value| self.unseal(&key, &value)).transpose()
    }

    fn unseal(&self, key: &[u8], sealed: &[u8]) -> Result<Bytes, StoreError> {
        record::unseal(self.salt, key, sealed).map(Bytes::copy_from_slice).ok_or_else(|| {
            (self.on_damage)(None);
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

    /// Adds the streams that have state.
    pub(super) fn streams(&self, mut streams: BTreeSet<StreamId>) -> Result<BTreeSet<StreamId>, StoreError> {
        let mut next = keys::OWN.next()?;
        loop {
            let entry = self.engine.state.range(keys::state(next, &[])..).next();
            let key = entry.map(Guard::key).transpose().map_err(|error| self.failed(error))?;
            let Some(stream) = key.as_deref().and_then(keys::stream_of) else { return Ok(streams) };
            streams.insert(stream);
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
