//! Streams on disk, in the fjall engine, with what it lacks around it.
//!
//! fjall gives atomic batches over a journal, sorted tables and a value log. Around it are: a directory with a lock and
//! a version (`layout`), a checksum on each message (`record`), a look at free space before each batch (`space`), marks
//! of what was durable (`marks`), an opening that copes with any damage and says what it was (`recovery`, with `journal`,
//! `inspect`, `salvage` and `tables`), and a thread that does what nobody waits for (`keeper`).
//!
//! **Durability.** [`StreamStore::apply`] writes a batch to the journal, with no sync. [`StreamStore::sync`] syncs the
//! journal that is being written. That covers everything applied, because the engine syncs a journal before it begins
//! the next, and syncs it before it writes tables of what is in it; so a table never has what the journals before it
//! have lost.
//!
//! **A failing engine.** It is poisoned by the first write that fails, for good. Then what is in flight fails, and the
//! database is opened again in place. If it was not a write of ours that failed, all of it is read first: what its own
//! compaction cannot read would poison it again and again, so that is salvaged.
//!
//! **What goes unnoticed.** Damage to the batches of the last 100 ms before a crash looks like a journal torn by the
//! crash. A file of marks that is damaged looks like one torn by a power failure; the other one, 100 ms older, is used.

mod batch;
mod damaged;
mod engine;
mod inspect;
mod journal;
mod keeper;
mod keys;
mod layout;
mod marks;
mod read;
mod record;
mod recovery;
mod salvage;
mod space;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use recovery::OpenError;
pub(crate) use space::SpaceLimits;

use super::{Change, FoundStream, Record, Seq, StoreError, StoreHealth, StreamId, StreamStore};
use bytes::Bytes;
use damaged::Damaged;
use engine::Engine;
use keeper::Keeper;
use layout::Layout;
use parking_lot::{Mutex, RwLock};
use read::Reader;
use record::Salt;
use space::{Purpose, Space};
use std::{
    collections::BTreeSet,
    ops::{ControlFlow, RangeInclusive},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use writer::Writer;

/// A store in a directory.
pub(crate) struct FjallStore {
    shared: Arc<Shared>,
    keeper: Mutex<Keeper>,
}

/// What the store and its keeper share. Locks are taken in the order: writer, engine, the others.
struct Shared {
    layout: Layout,
    salt: Salt,
    space: Space,
    writer: Mutex<Writer>,
    /// None between a failure and the next opening.
    engine: RwLock<Option<Engine>>,
    problems: Mutex<Vec<String>>,
    damaged: Damaged,
    /// Something was read that is damaged.
    is_suspect: AtomicBool,
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Failed(error.into())
}

impl FjallStore {
    /// Opens the store of a directory, which is made if need be.
    pub(crate) fn open(directory: &Path, limits: SpaceLimits) -> Result<Self, OpenError> {
        let layout = Layout::take(directory)?;
        let space = Space::new(directory, limits);
        let opened = recovery::open(&layout, recovery::Check::WhatIsNeeded)?;
        let salt = opened.marks.salt;
        let damaged = Damaged::new(opened.marks.damage.as_ref());
        let (engine, writer, problems) = Writer::new(opened);
        space.take_reserve_if_possible();
        let shared = Arc::new(Shared {
            layout,
            salt,
            space,
            writer: Mutex::new(writer),
            engine: RwLock::new(Some(engine)),
            problems: Mutex::new(problems),
            damaged,
            is_suspect: AtomicBool::new(false),
        });
        let keeper = Keeper::start(Arc::clone(&shared))?;
        Ok(Self { shared, keeper: Mutex::new(keeper) })
    }

    #[cfg(test)]
    fn set_limits(&self, limits: SpaceLimits) {
        self.shared.space.set_limits(limits);
    }
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A visitor may read again while somebody waits to open the engine again.
        let engine = self.engine.read_recursive();
        let engine = engine.as_ref().ok_or_else(|| failed(writer::NOT_OPEN))?;
        read(&Reader { engine, salt: self.salt, on_damage: &|message| self.suspect(message) })
    }

    /// Something damaged was read. The next opening is to read everything.
    fn suspect(&self, message: Option<(StreamId, Seq)>) {
        if let Some((stream, seq)) = message {
            self.damaged.met(stream, seq);
        }
        if self.is_suspect.swap(true, Ordering::AcqRel) {
            return;
        }
        let problem = "something damaged was read: what can be is repaired at the next start";
        tracing::error!("{problem}");
        self.problems.lock().push(problem.to_owned());
        if let Err(error) = self.layout.set_suspect() {
            tracing::error!(%error, "the next start will not know that something damaged was read");
        }
    }
}

impl Drop for FjallStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl StreamStore for FjallStore {
    fn close(&self) {
        self.keeper.lock().stop();
        self.shared.close();
        self.shared.layout.release();
    }

    fn streams(&self) -> Result<Vec<FoundStream>, StoreError> {
        let damage = self.shared.writer.lock().damage();
        let ids = self.shared.read(|reader| reader.streams(BTreeSet::new()))?;
        let found = ids.into_iter().map(|stream| FoundStream {
            stream,
            lost: damage.as_ref().and_then(|damage| damage.lost.get(&stream)).map(|range| range.0..=range.1),
            recount: damage.is_some(),
        });
        Ok(found.collect())
    }

    fn next_stream(&self) -> Result<StreamId, StoreError> {
        self.shared.writer.lock().next_stream()
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let drops = changes.iter().any(|change| matches!(change, Change::DropStream { .. }));
        self.shared.apply(changes)?;
        if drops {
            self.keeper.lock().sweep();
        }
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> Result<bool, StoreError> {
        self.shared.space.has_room(Purpose::Growth, bytes).map_err(failed)
    }

    fn sync(&self) -> Result<(), StoreError> {
        if let Some(at) = self.shared.sync()? {
            self.keeper.lock().write_marks(at);
        }
        Ok(())
    }

    fn get(&self, stream: StreamId, seq: Seq) -> Result<Option<Record>, StoreError> {
        self.shared.read(|reader| reader.get(stream, seq))
    }

    fn scan(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.shared.read(|reader| {
            reader.scan(stream, range, visit);
            Ok(())
        })
    }

    fn scan_back(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.shared.read(|reader| {
            reader.scan_back(stream, range, visit);
            Ok(())
        })
    }

    fn scan_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.shared.read(|reader| {
            reader.scan_subject(stream, subject, range, visit);
            Ok(())
        })
    }

    fn last_of_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        self.shared.read(|reader| Ok(reader.last_of_subject(stream, subject, range)))
    }

    fn state(&self, stream: StreamId, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.shared.read(|reader| reader.state(stream, key))
    }

    fn scan_state(
        &self,
        stream: StreamId,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.shared.read(|reader| reader.scan_state(stream, prefix, visit))
    }

    fn health(&self) -> StoreHealth {
        // While it is being opened again it is not open; nobody who asks waits for that.
        let is_open = self.shared.engine.try_read_recursive().is_some_and(|engine| engine.is_some());
        let is_full = self.shared.space.was_full();
        let mut problems = self.shared.problems.lock().clone();
        if is_full {
            problems.push(StoreError::Full.to_string());
        }
        if !is_open {
            problems.push(writer::NOT_OPEN.to_owned());
        }
        StoreHealth {
            problems,
            writable: is_open && !is_full,
            full: is_full,
            lost: self.shared.damaged.all(),
        }
    }
}
