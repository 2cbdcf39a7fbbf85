//! Applying and syncing, and what happens when that fails.

use super::{
    Shared,
    batch::{Batch, Buffers, Failed},
    engine::Engine,
    failed, keys,
    marks::{Damage, Marks, MarksFile},
    recovery::{self, Check, OpenError, Opened},
    space::Purpose,
};
use crate::jetstream::store::{Change, Seq, StoreError, StreamId};
use foldhash::{HashMap, HashMapExt as _};
use std::{
    io,
    time::{Duration, Instant},
};

/// At least this long between two writes of the marks.
const MARKS_EVERY: Duration = Duration::from_millis(100);
/// With very many streams marks are written less often, so that they take at most this many bytes a millisecond.
const MARKS_RATE: u64 = 10_000;
/// After a failure to open the database again, so long nobody tries to.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What a message takes beside its bytes, roughly.
const OVERHEAD: usize = 200;

/// Why nothing can be read or written.
pub(super) const NOT_OPEN: &str = "the storage engine failed, and could not be opened again yet: that is tried each second; \
     look at the disk and the log";

/// Whether the user of the store knows of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    None,
    /// It asked.
    Given,
    /// It asked, and applied something since: what follows from it.
    Taken,
}

/// Whether what was applied is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Durable,
    Unsynced,
    /// The engine failed after something was applied that was not synced, and that is not known to be there.
    Doubtful,
}

/// What one thread at a time has to do with.
pub(super) struct Writer {
    /// What is durable.
    marks: Marks,
    marks_file: MarksFile,
    marks_written: Instant,
    are_marks_behind: bool,
    /// Number of the batch that was applied last.
    number: u64,
    /// The highest stream number that was ever used.
    highest: u32,
    /// Last sequences that were applied since the last sync; none for a stream that was dropped.
    applied: HashMap<StreamId, Option<Seq>>,
    durability: Durability,
    notice: Notice,
    next_try: Instant,
    buffers: Buffers,
}

impl Writer {
    pub(super) fn new(opened: Opened) -> (Engine, Self, Vec<String>) {
        let Opened { engine, marks, marks_file, number, highest, problems } = opened;
        let now = Instant::now();
        let writer = Self {
            highest,
            marks,
            marks_file,
            marks_written: now,
            are_marks_behind: false,
            number,
            applied: HashMap::new(),
            durability: Durability::Durable,
            notice: Notice::None,
            next_try: now,
            buffers: Buffers::default(),
        };
        (engine, writer, problems)
    }

    /// Damage that nobody took notice of yet.
    pub(super) fn damage(&mut self) -> Option<Damage> {
        self.notice = Notice::Given;
        self.marks.damage.clone()
    }

    pub(super) fn next_stream(&self) -> Result<StreamId, StoreError> {
        StreamId(self.highest).next()
    }

    fn write_marks(&mut self) {
        self.marks_written = Instant::now();
        self.are_marks_behind = false;
        // Without them nothing is lost; damage would go unnoticed. The disk may be full, and acknowledging goes on.
        if let Err(error) = self.marks_file.write(&self.marks) {
            self.are_marks_behind = true;
            tracing::warn!(%error, "cannot write down what is durable");
        }
    }

    /// When marks may be written next.
    fn marks_due(&self) -> Instant {
        let pause = Duration::from_millis(MarksFile::size(&self.marks) as u64 / MARKS_RATE);
        self.marks_written + pause.max(MARKS_EVERY)
    }

    /// Everything applied so far is durable.
    fn is_synced(&mut self) {
        self.durability = Durability::Durable;
        self.marks.batch = self.number;
        for (stream, last) in self.applied.drain() {
            match last {
                Some(seq) => {
                    let mark = self.marks.last.entry(stream).or_insert(0);
                    *mark = (*mark).max(seq);
                }
                None => {
                    self.marks.last.remove(&stream);
                }
            }
        }
        self.are_marks_behind = true;
        if self.notice == Notice::Taken && self.marks.damage.take().is_some() {
            self.write_marks();
        }
    }

    /// Notes what was applied.
    fn is_applied(&mut self, changes: &[Change]) {
        if self.durability == Durability::Durable {
            self.durability = Durability::Unsynced;
        }
        for change in changes {
            match change {
                Change::Put { stream, seq, .. } => {
                    let last = self.applied.entry(*stream).or_default();
                    *last = (*last).max(Some(*seq));
                }
                Change::DropStream { stream } => {
                    self.applied.insert(*stream, None);
                }
                _ => {}
            }
        }
    }
}

fn purpose(changes: &[Change]) -> (Purpose, usize) {
    let mut purpose = Purpose::Relief;
    let mut bytes = 0;
    for change in changes {
        bytes += OVERHEAD;
        match change {
            Change::Put { record, .. } => {
                purpose = Purpose::Growth;
                bytes += record.data.len();
            }
            Change::SetState { value, .. } => bytes += value.len(),
            _ => {}
        }
    }
    (purpose, bytes)
}

impl Shared {
    pub(super) fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (purpose, bytes) = purpose(changes);
        if !self.space.has_room(purpose, bytes).map_err(failed)? {
            return Err(StoreError::Full);
        }
        let mut writer = self.writer.lock();
        self.ensure_open(&mut writer)?;
        let in_index = changes.iter().filter(|change| change.is_listed()).count();
        self.commit(&mut writer, changes.len() + in_index, |batch, buffers| batch.add(changes, buffers))?;
        writer.is_applied(changes);
        if writer.notice == Notice::Given {
            writer.notice = Notice::Taken;
        }
        Ok(())
    }

    /// Applies a batch of the store's own. There is nothing to do when the engine is not open.
    pub(super) fn apply_own<T>(
        &self,
        fill: impl FnOnce(&mut Batch<'_>) -> Result<T, Failed>,
    ) -> Result<Option<T>, StoreError> {
        if !self.space.has_room(Purpose::Relief, 0).map_err(failed)? {
            return Err(StoreError::Full);
        }
        let mut writer = self.writer.lock();
        if self.engine.read_recursive().is_none() {
            return Ok(None);
        }
        self.commit(&mut writer, 0, |batch, _| fill(batch)).map(Some)
    }

    fn commit<T>(
        &self,
        writer: &mut Writer,
        entries: usize,
        fill: impl FnOnce(&mut Batch<'_>, &mut Buffers) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        let outcome = {
            let engine = self.engine.read_recursive();
            let engine = engine.as_ref().ok_or_else(|| failed(NOT_OPEN))?;
            let mut batch = Batch::new(engine, self.salt, writer.number + 1, entries);
            let filled = fill(&mut batch, &mut writer.buffers).map_err(failed)?;
            writer.buffers.limit();
            if batch.highest > writer.highest {
                batch.set_state(&keys::state(keys::OWN, keys::HIGHEST), &batch.highest.to_le_bytes());
            }
            let highest = batch.highest;
            batch.commit().map(|()| (filled, highest))
        };
        match outcome {
            Ok((filled, highest)) => {
                writer.number += 1;
                writer.highest = writer.highest.max(highest);
                Ok(filled)
            }
            Err(error) => {
                self.reopen(writer, &error);
                Err(failed(error))
            }
        }
    }

    /// Makes durable what was applied. Tells when marks are to be written, unless they were.
    pub(super) fn sync(&self) -> Result<Option<Instant>, StoreError> {
        let mut writer = self.writer.lock();
        self.ensure_open(&mut writer)?;
        self.persist(&mut writer)?;
        if writer.are_marks_behind {
            let due = writer.marks_due();
            if Instant::now() < due {
                return Ok(Some(due));
            }
            writer.write_marks();
        }
        Ok(None)
    }

    fn persist(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let before = writer.durability;
        if before == Durability::Durable {
            return Ok(());
        }
        let outcome = match &*self.engine.read_recursive() {
            Some(engine) => engine.persist(),
            None => return Err(failed(NOT_OPEN)),
        };
        match outcome {
            Ok(()) => writer.is_synced(),
            Err(error) => {
                self.reopen(writer, &error);
                // With this answer it is said.
                writer.durability = Durability::Unsynced;
                return Err(failed(error));
            }
        }
        if before == Durability::Doubtful {
            return Err(failed("the storage engine failed before what was applied was durable"));
        }
        Ok(())
    }

    /// Writes marks that are behind.
    pub(super) fn catch_up_marks(&self) {
        let mut writer = self.writer.lock();
        if writer.are_marks_behind {
            writer.write_marks();
        }
    }

    fn ensure_open(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if self.engine.read_recursive().is_some() {
            return Ok(());
        }
        if Instant::now() < writer.next_try {
            return Err(failed(NOT_OPEN));
        }
        self.open_again(writer, Check::WhatIsNeeded).map_err(failed)
    }

    /// The engine failed, and is poisoned: closes it and opens it again.
    fn reopen(&self, writer: &mut Writer, error: &fjall::Error) {
        tracing::error!(%error, "the storage engine of the streams failed, and is opened again");
        // If it was not a write of ours that failed, it may be what it read.
        let check = match error {
            fjall::Error::Poisoned => Check::Everything,
            _ => Check::WhatIsNeeded,
        };
        if writer.durability == Durability::Unsynced {
            writer.durability = Durability::Doubtful;
        }
        // If the disk is full, this is what there is to recover with.
        self.space.release_reserve();
        if let Err(error) = self.open_again(writer, check) {
            tracing::error!(error = &error as &dyn std::error::Error, "{NOT_OPEN}");
        }
        self.space.take_reserve_if_possible();
    }

    fn open_again(&self, writer: &mut Writer, check: Check) -> Result<(), OpenError> {
        writer.write_marks();
        writer.next_try = Instant::now() + RETRY_AFTER;
        // Waits for readers, and keeps new ones out until it is open.
        let mut engine = self.engine.write();
        drop(engine.take());
        let opened = recovery::open(&self.layout, check)?;
        self.damaged.found(opened.marks.damage.as_ref());
        let (opened, mut new, problems) = Writer::new(opened);
        // What is there was made durable when it was opened. Batches are lost from the last one on.
        let all_there = new.number >= writer.number;
        new.durability = match writer.durability {
            Durability::Doubtful if all_there => Durability::Unsynced,
            durability => durability,
        };
        new.applied = std::mem::take(&mut writer.applied);
        new.highest = new.highest.max(writer.highest);
        *writer = new;
        *engine = Some(opened);
        self.problems.lock().extend(problems);
        Ok(())
    }

    /// Makes everything durable, and says so.
    pub(super) fn close(&self) {
        let mut writer = self.writer.lock();
        if let Err(error) = self.persist(&mut writer) {
            tracing::error!(error = &error as &dyn std::error::Error, "closing the streams");
        }
        if writer.are_marks_behind {
            writer.write_marks();
        }
        drop(self.engine.write().take());
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        failed(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Engine(error.into())
    }
}
