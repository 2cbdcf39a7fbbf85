//! Streams in memory: gone with the process, and never on a disk.

use super::{Change, FoundStream, Lost, Record, Seq, StoreError, StoreHealth, StreamId, StreamStore};
use bytes::Bytes;
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::{Bound, ControlFlow, RangeInclusive},
    sync::Arc,
};

/// So many entries are copied out per lock: a visitor runs without it, may be slow, and may read itself.
const CHUNK: usize = 64;

/// Streams in ordered maps.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: BTreeMap<StreamId, Stream>,
    highest: u32,
}

#[derive(Debug, Default)]
struct Stream {
    messages: BTreeMap<Seq, Record>,
    subjects: HashMap<Arc<str>, BTreeSet<Seq>>,
    state: BTreeMap<Box<[u8]>, Bytes>,
}

impl MemoryStore {
    /// An empty store.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Copies pieces out of a stream and hands them on without the lock, until there are no more or `visit` breaks.
    fn in_chunks<Position, Item>(
        &self,
        stream: StreamId,
        mut position: Position,
        copy: impl Fn(&Stream, &Position, &mut Vec<Item>) -> Option<Position>,
        mut visit: impl FnMut(Item) -> ControlFlow<()>,
    ) {
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            let next = {
                let inner = self.inner.read();
                inner.streams.get(&stream).and_then(|stream| copy(stream, &position, &mut chunk))
            };
            for item in chunk.drain(..) {
                if visit(item).is_break() {
                    return;
                }
            }
            match next {
                Some(next) => position = next,
                None => return,
            }
        }
    }
}

impl Stream {
    fn list(&mut self, subject: &Arc<str>, seq: Seq) {
        self.subjects.entry(Arc::clone(subject)).or_default().insert(seq);
    }
}

impl Inner {
    fn apply(&mut self, change: &Change) {
        let id = change.stream();
        self.highest = self.highest.max(id.0);
        if matches!(change, Change::DropStream { .. }) {
            self.streams.remove(&id);
            return;
        }
        let stream = self.streams.entry(id).or_default();
        match change {
            Change::Put { seq, record, listed, .. } => {
                if *listed {
                    stream.list(&record.subject, *seq);
                }
                stream.messages.insert(*seq, record.clone());
            }
            Change::List { seq, subject, .. } => stream.list(subject, *seq),
            Change::Remove { seq, subject, listed, .. } => {
                stream.messages.remove(seq);
                if *listed && let Some(sequences) = stream.subjects.get_mut(subject) {
                    sequences.remove(seq);
                    if sequences.is_empty() {
                        stream.subjects.remove(subject);
                    }
                }
            }
            Change::SetState { key, value, .. } => {
                stream.state.insert(key.clone(), value.clone());
            }
            Change::ClearState { key, .. } => {
                stream.state.remove(key);
            }
            Change::DropStream { .. } => {}
        }
    }
}

/// The range after the piece that was copied, or none when the piece was the last.
fn ascending_rest(
    range: &RangeInclusive<Seq>,
    copied: usize,
    last: Option<Seq>,
) -> Option<RangeInclusive<Seq>> {
    let next = last?.checked_add(1)?;
    (copied == CHUNK && next <= *range.end()).then(|| next..=*range.end())
}

impl StreamStore for MemoryStore {
    fn streams(&self) -> Result<Vec<FoundStream>, StoreError> {
        let inner = self.inner.read();
        Ok(inner
            .streams
            .iter()
            .filter(|(_, stream)| !stream.state.is_empty())
            .map(|(id, _)| FoundStream::whole(*id))
            .collect())
    }

    fn next_stream(&self) -> Result<StreamId, StoreError> {
        StreamId(self.inner.read().highest).next()
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            let is_wrong = match change {
                Change::Put { record, .. } => record.header_len > record.data.len(),
                _ => false,
            };
            if is_wrong || change.stream().0 == 0 {
                return Err(StoreError::Failed("not a message, or not a stream".into()));
            }
        }
        let mut inner = self.inner.write();
        for change in changes {
            inner.apply(change);
        }
        Ok(())
    }

    fn has_room(&self, _bytes: usize) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn get(&self, stream: StreamId, seq: Seq) -> Result<Option<Record>, StoreError> {
        Ok(self.inner.read().streams.get(&stream).and_then(|stream| stream.messages.get(&seq).cloned()))
    }

    fn scan(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        self.in_chunks(
            stream,
            range,
            |stream, range, chunk| {
                let found = stream.messages.range(range.clone()).take(CHUNK);
                chunk.extend(found.map(|(seq, record)| (*seq, record.clone())));
                ascending_rest(range, chunk.len(), chunk.last().map(|(seq, _)| *seq))
            },
            |(seq, record)| visit(seq, Ok(record)),
        );
        Ok(())
    }

    fn scan_back(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        self.in_chunks(
            stream,
            range,
            |stream, range, chunk| {
                let found = stream.messages.range(range.clone()).rev().take(CHUNK);
                chunk.extend(found.map(|(seq, _)| *seq));
                let next = chunk.last()?.checked_sub(1)?;
                (chunk.len() == CHUNK && next >= *range.start()).then(|| *range.start()..=next)
            },
            visit,
        );
        Ok(())
    }

    fn scan_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        self.in_chunks(
            stream,
            range,
            |stream, range, chunk| {
                let sequences = stream.subjects.get(subject)?;
                chunk.extend(sequences.range(range.clone()).take(CHUNK));
                ascending_rest(range, chunk.len(), chunk.last().copied())
            },
            visit,
        );
        Ok(())
    }

    fn last_of_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        if range.is_empty() {
            return Ok(None);
        }
        let inner = self.inner.read();
        let sequences = inner.streams.get(&stream).and_then(|stream| stream.subjects.get(subject));
        Ok(sequences.and_then(|sequences| sequences.range(range).next_back().copied()))
    }

    fn state(&self, stream: StreamId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner.read().streams.get(&stream).and_then(|stream| stream.state.get(key).cloned()))
    }

    fn scan_state(
        &self,
        stream: StreamId,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.in_chunks(
            stream,
            Bound::Included(Box::<[u8]>::from(prefix)),
            |stream, from, chunk: &mut Vec<(Box<[u8]>, Bytes)>| {
                let from = from.as_ref().map(|key| &**key);
                let found = stream.state.range::<[u8], _>((from, Bound::Unbounded));
                let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(CHUNK);
                chunk.extend(found.map(|(key, value)| (key.clone(), value.clone())));
                let last = chunk.last().filter(|_| chunk.len() == CHUNK);
                last.map(|(key, _)| Bound::Excluded(key.clone()))
            },
            |(key, value)| visit(&key, value),
        );
        Ok(())
    }

    fn close(&self) {}

    fn health(&self) -> StoreHealth {
        StoreHealth { problems: Vec::new(), writable: true, full: false, lost: Lost::new() }
    }
}
