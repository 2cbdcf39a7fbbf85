//! One group: what is applied and synced together.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::{Done, Operation, Publish, Rollup, committer::Touched};
use crate::jetstream::{
    store::{Change, Seq, StoreError, StreamStore},
    stream::{Stream, message_bytes, subject_key},
    stream_config::Storage,
    ttl,
};

/// A group in the making.
pub(super) struct Group {
    files: Store,
    memory: Store,
    touched: Touched,
    /// Something in it is to be on disk before it shows.
    pub(super) needs_sync: bool,
}

/// What is to be applied to one store.
struct Store {
    store: Arc<dyn StreamStore>,
    changes: Vec<Change>,
}

/// What a group did to one stream.
pub(super) struct TouchedStream {
    pub(super) stream: Arc<Stream>,
    /// Messages that were added.
    pub(super) added: Vec<(Seq, Arc<str>)>,
    /// Messages that are in `changes` and not applied yet.
    pub(super) waiting: Vec<Publish>,
    /// Subjects whose totals have changed since they were last written.
    pub(super) subjects: BTreeSet<Arc<str>>,
    /// Totals have changed since they were last written.
    pub(super) dirty: bool,
    /// Messages to remove because a later one replaces them.
    pub(super) rollups: Vec<(Rollup, Arc<str>, Seq)>,
    /// How many of `added` the limit of each subject was applied to.
    pub(super) limited: usize,
    /// The limits have changed since they were applied.
    pub(super) limits_changed: bool,
    /// Messages that came and went within the group.
    pub(super) short_lived: HashSet<Seq>,
    /// Subjects of which a message was removed because it was too old.
    pub(super) aged: Vec<Arc<str>>,
}

impl Group {
    pub(super) fn new(files: Arc<dyn StreamStore>, memory: Arc<dyn StreamStore>) -> Self {
        let store = |store| Store { store, changes: Vec::new() };
        Self { files: store(files), memory: store(memory), touched: Touched::default(), needs_sync: false }
    }

    /// What is to be applied to the streams of this kind.
    pub(super) fn changes(&mut self, storage: Storage) -> &mut Vec<Change> {
        match storage {
            Storage::File => &mut self.files.changes,
            Storage::Memory => &mut self.memory.changes,
        }
    }

    /// Adds a message.
    pub(super) fn put(&mut self, publish: Publish) {
        let (stream, seq) = (Arc::clone(&publish.stream), publish.seq);
        self.needs_sync |= stream.storage == Storage::File;
        let changes = self.changes(stream.storage);
        changes.push(Change::Put { stream: stream.id, seq, record: publish.record.clone() });
        if let Some(expires) = publish.expires {
            changes.push(ttl::entry(stream.id, expires, seq));
        }
        let touched = self.touch(&stream);
        if let Some(rollup) = publish.rollup {
            touched.rollups.push((rollup, Arc::clone(&publish.record.subject), seq));
        }
        touched.waiting.push(publish);
    }

    /// Does an operation, which sees everything before it.
    pub(super) fn operate(&mut self, stream: &Arc<Stream>, operation: Operation) -> Result<Done, StoreError> {
        self.needs_sync |= stream.storage == Storage::File && operation.needs_sync();
        let none = Done { removed: 0 };
        match operation {
            Operation::Write(changes) => {
                self.changes(stream.storage).extend(changes);
                Ok(none)
            }
            Operation::Drop => {
                // Messages of the stream that wait are of no use any more.
                self.apply()?;
                self.touched.remove(&stream.id.0);
                self.changes(stream.storage).push(Change::DropStream { stream: stream.id });
                Ok(none)
            }
            Operation::Skip { seq, time } => {
                self.apply()?;
                stream.skip(seq, time);
                self.touch(stream).dirty = true;
                Ok(none)
            }
            Operation::Limits => {
                self.touch(stream).limits_changed = true;
                self.apply()?;
                Ok(none)
            }
            Operation::Delete(seq) => {
                self.apply()?;
                let removed = self.remove_one(stream, seq)?;
                Ok(Done { removed })
            }
            Operation::InterestLost => {
                self.apply()?;
                let removed = self.interest_lost(stream)?;
                Ok(Done { removed })
            }
            Operation::Processed(seq) => {
                self.apply()?;
                let removed = self.processed(stream, seq)?;
                Ok(Done { removed })
            }
            Operation::Purge(purge) => {
                self.apply()?;
                let removed = self.purge(stream, &purge)?;
                Ok(Done { removed })
            }
            Operation::Expire => {
                self.apply()?;
                let removed = self.expire(stream)?;
                Ok(Done { removed })
            }
        }
    }

    /// Applies what is left, totals included.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.apply()?;
        // What the limits removed.
        self.flush()
    }

    /// Applies what waits, then what the limits say about it.
    fn apply(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        let streams: Vec<_> = self.touched.values().map(|touched| Arc::clone(&touched.stream)).collect();
        for stream in streams {
            let rollups = std::mem::take(&mut self.touch(&stream).rollups);
            for (rollup, subject, seq) in rollups {
                self.roll_up(&stream, rollup, &subject, seq)?;
            }
            self.limit(&stream)?;
        }
        self.flush()
    }

    /// Applies what waits, with the totals that belong to it.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        for touched in self.touched.values_mut() {
            let store = match touched.stream.storage {
                Storage::File => &mut self.files,
                Storage::Memory => &mut self.memory,
            };
            touched.settle(&mut store.changes);
        }
        for store in [&mut self.files, &mut self.memory] {
            if !store.changes.is_empty() {
                store.store.apply(&store.changes)?;
                store.changes.clear();
            }
        }
        Ok(())
    }

    pub(super) fn touch(&mut self, stream: &Arc<Stream>) -> &mut TouchedStream {
        self.touched.entry(stream.id.0).or_insert_with(|| TouchedStream::new(Arc::clone(stream)))
    }

    /// Lets everybody see what was done.
    pub(super) fn show(self) {
        for mut touched in self.touched.into_values() {
            if !touched.short_lived.is_empty() {
                touched.added.retain(|(seq, _)| !touched.short_lived.contains(seq));
            }
            let new = !touched.added.is_empty();
            if new {
                // Counted before it can be read: what is delivered is taken off again.
                touched.stream.tell(|follower| follower.committed(&touched.added));
            }
            touched.stream.show();
            if new {
                touched.stream.tell(|follower| follower.shown());
            }
            touched.stream.mark_deleted(&touched.aged);
            touched.stream.arm_expiry();
        }
    }

    /// Goes back to what is stored.
    pub(super) fn roll_back(self) {
        for touched in self.touched.into_values() {
            if let Err(error) = touched.stream.reload() {
                tracing::error!(stream = %touched.stream.name, %error, "cannot be read back; it takes nothing any more");
                touched.stream.close();
            }
            touched.stream.show();
        }
    }
}

impl TouchedStream {
    fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            added: Vec::new(),
            waiting: Vec::new(),
            subjects: BTreeSet::new(),
            dirty: false,
            rollups: Vec::new(),
            limited: 0,
            limits_changed: false,
            short_lived: HashSet::new(),
            aged: Vec::new(),
        }
    }

    /// Counts the messages that wait, and appends the totals that have changed.
    fn settle(&mut self, changes: &mut Vec<Change>) {
        if self.waiting.is_empty() && !self.dirty {
            return;
        }
        let id = self.stream.id;
        let mut state = self.stream.state.lock();
        for Publish { seq, record, .. } in self.waiting.drain(..) {
            let bytes = message_bytes(self.stream.storage, &record);
            state.assigned.written(seq, &record, bytes);
            state.committed.add(seq, &record, bytes);
            self.stream.usage.add(self.stream.storage, bytes);
            self.added.push((seq, Arc::clone(&record.subject)));
            self.subjects.insert(record.subject);
        }
        for subject in std::mem::take(&mut self.subjects) {
            let key = subject_key(&subject);
            changes.push(match state.committed.subjects.get(&subject) {
                Some(totals) => Change::SetState { stream: id, key, value: totals.encode() },
                None => Change::ClearState { stream: id, key },
            });
        }
        self.dirty = false;
        changes.push(state.committed.totals.change(id));
    }
}

impl Operation {
    /// Whether its answer promises that it is on disk.
    fn needs_sync(&self) -> bool {
        match self {
            Self::Write(_)
            | Self::Delete(_)
            | Self::Purge(_)
            | Self::Drop
            | Self::InterestLost
            | Self::Limits
            | Self::Skip { .. } => true,
            // Done again after a crash, when it is due again.
            Self::Expire | Self::Processed(_) => false,
        }
    }
}
