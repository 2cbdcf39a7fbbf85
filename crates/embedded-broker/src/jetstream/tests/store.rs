//! A store that fails and waits when it is told to.

use std::{
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::jetstream::store::{
    Change, FoundStream, Lost, Record, Seq, StoreError, StoreHealth, StreamId, StreamStore,
    memory::MemoryStore, only,
};

/// How a store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Messages are refused.
    Full,
    /// Nothing is applied.
    Failing,
    /// What is applied cannot be made durable.
    Unsynced,
    /// Nothing is applied, and nothing can be read.
    Closed,
}

/// A store in memory with moods.
pub(super) struct MoodyStore {
    inner: MemoryStore,
    state: Mutex<State>,
    changed: Condvar,
}

/// Who has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nobody,
    WhoeverApplies,
    WhoeverSyncs,
}

struct State {
    mood: Mood,
    /// Who waits.
    held: Held,
    /// Somebody waits.
    waits: bool,
    /// When somebody asked whether there is room.
    looks: Vec<Instant>,
    /// How often a stream's subjects were read, which reading it back takes.
    read_back: usize,
    /// Says that streams are to be counted again.
    is_damaged: bool,
    /// How often it was to make durable what was applied, and when last.
    syncs: usize,
    synced: Instant,
}

impl MoodyStore {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            mood: Mood::Well,
            held: Held::Nobody,
            waits: false,
            looks: Vec::new(),
            read_back: 0,
            is_damaged: false,
            syncs: 0,
            synced: Instant::now(),
        };
        Arc::new(Self { inner: MemoryStore::new(), state: Mutex::new(state), changed: Condvar::new() })
    }

    pub(super) fn set(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    /// Says that streams are to be counted again.
    pub(super) fn set_damaged(&self) {
        self.state.lock().is_damaged = true;
    }

    /// Lets whoever applies next wait.
    pub(super) fn hold(&self) {
        self.state.lock().held = Held::WhoeverApplies;
    }

    /// Lets whoever syncs next wait.
    pub(super) fn hold_sync(&self) {
        self.state.lock().held = Held::WhoeverSyncs;
    }

    /// How often streams were read back.
    pub(super) fn read_back(&self) -> usize {
        self.state.lock().read_back
    }

    /// Waits until somebody has asked so often whether there is room; answers when.
    pub(super) fn until_looked(&self, times: usize) -> Vec<Instant> {
        let mut state = self.state.lock();
        while state.looks.len() < times {
            self.changed.wait(&mut state);
        }
        state.looks.clone()
    }

    /// Waits until somebody waits to apply or to sync.
    pub(super) fn until_waiting(&self) {
        let mut state = self.state.lock();
        while !state.waits {
            self.changed.wait(&mut state);
        }
    }

    /// Whether something can be read.
    fn read(&self) -> Result<(), StoreError> {
        if self.state.lock().mood == Mood::Closed { Err(told_to()) } else { Ok(()) }
    }

    /// How often it was to make durable what was applied.
    pub(super) fn syncs(&self) -> usize {
        self.state.lock().syncs
    }

    /// Waits until it was to do that so often; answers when that was.
    pub(super) fn until_synced(&self, times: usize) -> Instant {
        let mut state = self.state.lock();
        while state.syncs < times {
            self.changed.wait(&mut state);
        }
        state.synced
    }

    /// Lets whoever waits go on.
    pub(super) fn release(&self) {
        self.state.lock().held = Held::Nobody;
        self.changed.notify_all();
    }
}

fn told_to() -> StoreError {
    StoreError::Failed("told to".into())
}

impl StreamStore for MoodyStore {
    fn streams(&self) -> Result<Vec<FoundStream>, StoreError> {
        let recount = self.state.lock().is_damaged;
        let found = self.inner.streams()?.into_iter();
        Ok(found.map(|found| FoundStream { recount, ..found }).collect())
    }

    fn next_stream(&self) -> Result<StreamId, StoreError> {
        self.inner.next_stream()
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while state.held == Held::WhoeverApplies {
            state.waits = true;
            self.changed.notify_all();
            self.changed.wait(&mut state);
        }
        state.waits = false;
        let grows = changes.iter().any(|change| matches!(change, Change::Put { .. }));
        match state.mood {
            Mood::Full if grows => Err(StoreError::Full),
            Mood::Failing | Mood::Closed => Err(told_to()),
            _ => self.inner.apply(changes),
        }
    }

    fn has_room(&self, _bytes: usize) -> Result<bool, StoreError> {
        let mut state = self.state.lock();
        state.looks.push(Instant::now());
        self.changed.notify_all();
        Ok(state.mood != Mood::Full)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while state.held == Held::WhoeverSyncs {
            state.waits = true;
            self.changed.notify_all();
            self.changed.wait(&mut state);
        }
        state.waits = false;
        state.syncs += 1;
        state.synced = Instant::now();
        self.changed.notify_all();
        match state.mood {
            Mood::Failing | Mood::Unsynced | Mood::Closed => Err(told_to()),
            Mood::Well | Mood::Full => Ok(()),
        }
    }

    fn get(&self, stream: StreamId, seq: Seq) -> Result<Option<Record>, StoreError> {
        self.read()?;
        self.inner.get(stream, seq)
    }

    fn scan(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.read()?;
        self.inner.scan(stream, range, visit)
    }

    fn scan_back(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.read()?;
        self.inner.scan_back(stream, range, visit)
    }

    fn scan_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.read()?;
        self.inner.scan_subject(stream, subject, range, visit)
    }

    fn last_of_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        self.read()?;
        self.inner.last_of_subject(stream, subject, range)
    }

    fn state(&self, stream: StreamId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read()?;
        self.inner.state(stream, key)
    }

    fn scan_state(
        &self,
        stream: StreamId,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.read()?;
        self.state.lock().read_back += usize::from(prefix == [only::SUBJECT]);
        self.inner.scan_state(stream, prefix, visit)
    }

    fn close(&self) {
        self.inner.close();
    }

    fn health(&self) -> StoreHealth {
        StoreHealth {
            problems: Vec::new(),
            writable: self.state.lock().mood == Mood::Well,
            full: false,
            lost: Lost::new(),
        }
    }
}
