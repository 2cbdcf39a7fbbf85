//! Moving a bus from SQLite into JetStream buckets: everything, in its order, and checked at the end.
//!
//! The source is locked by its being open, and is only read. Every piece is written once: what is there already is left
//! alone, so a move that was cut off at any point (killed, too) goes on where it was when it is started again, and one
//! that is done changes nothing. A target that holds anything else than pieces of this source is refused. At the end
//! both stores are read from the first record to the last, the target through a view of its own, and compared by
//! count and digest, table by table.
//!
//! [`Migration::done_before`] finds out beforehand, by the same comparison, that there is nothing left to do.
//!
//! From the first write to [`Migration::finish`] the target is marked: stores that others have opened refuse to write, and
//! tell ([`KvStore::is_moving`]) that nobody may be let in on what is half there.
//!
//! Users come first, since members must be users; then each room with its log, keys and files; then what stays of deleted
//! rooms, and the audit. Invitations, nonces and what nodes say of themselves are not in the source.

mod copy;
mod tables;

use async_nats::jetstream::Context;

use crate::{KvOpenError, KvOptions, KvStore, MembershipStore as _, SqliteStore, StoreError};
use copy::Copying;

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users, revoked ones included.
    pub users: u64,
    /// Rooms that are not deleted.
    pub rooms: u64,
    /// Entries of their logs.
    pub entries: u64,
    /// Sealed keys.
    pub keys: u64,
    /// Records of files.
    pub files: u64,
    /// Deleted rooms.
    pub deleted: u64,
    /// Audit records.
    pub audit: u64,
}

impl Counts {
    /// All of them together.
    pub fn total(&self) -> u64 {
        let Self { users, rooms, entries, keys, files, deleted, audit } = self;
        users + rooms + entries + keys + files + deleted + audit
    }
}

/// What a move is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Writing to the target.
    Copying,
    /// Comparing.
    Comparing,
}

/// How far a move has come. Of both steps, `done` grows up to `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// Pieces that are there, or compared.
    pub done: u64,
    /// Pieces in all.
    pub total: u64,
    /// Pieces that were written by this run.
    pub written: u64,
}

/// A table that was found to be the same in both stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Its name.
    pub table: &'static str,
    /// How many records it has.
    pub count: u64,
    /// The SHA-256 of all of them, as hexadecimal digits.
    pub digest: String,
}

/// What a move did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// What the source holds.
    pub counts: Counts,
    /// Pieces that were there before.
    pub already: u64,
    /// Pieces that were written by this run.
    pub written: u64,
    /// The tables, all of them the same in both stores.
    pub tables: Vec<Compared>,
}

/// What a move would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What the source holds.
    pub counts: Counts,
    /// Whether the target has buckets of this name.
    pub target_exists: bool,
}

/// Why a bus was not moved. What was written stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The source cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(StoreError),
    /// The target cannot be opened.
    #[error("the target cannot be opened: {0}")]
    Open(#[from] KvOpenError),
    /// The target did not take something.
    #[error("the target does not take it: {0}; run this again, it goes on from here")]
    Target(StoreError),
    /// The target holds something that is not from this source, or that has changed since it was moved.
    #[error(
        "the target holds other data ({0}): move into buckets that are empty, or remove these if nothing uses them"
    )]
    OtherData(String),
    /// After everything was written, a table is not the same in both stores.
    #[error(
        "{table} differ: {source_count} ({source_digest}) in the source, {target_count} ({target_digest}) in the target. The \
         source is as it was, and nobody is let in at the target: unless the bus has ever run there, remove its buckets, then run \
         this again"
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// Records in the source.
        source_count: u64,
        /// Their digest.
        source_digest: String,
        /// Records in the target.
        target_count: u64,
        /// Their digest.
        target_digest: String,
    },
}

/// A move of everything that is in an SQLite store.
#[derive(Debug)]
pub struct Migration<'a> {
    source: &'a SqliteStore,
    context: Context,
    options: KvOptions,
}

impl<'a> Migration<'a> {
    /// A move into the buckets that these options name. The source must be used by nobody else, and nobody may use the
    /// target until the move is done.
    pub fn new(source: &'a SqliteStore, context: Context, options: KvOptions) -> Self {
        Self { source, context, options }
    }

    /// What there is to do. Writes nothing and makes no bucket.
    pub async fn plan(&self) -> Result<Plan, MigrateError> {
        let counts = self.source.counts().await.map_err(MigrateError::Source)?;
        let target_exists = KvStore::exists(&self.context, &self.options.prefix).await?;
        Ok(Plan { counts, target_exists })
    }

    /// Whether everything was moved and finished before, and is the same in both: compared as at the end of a move. Marks
    /// nothing, so whoever uses the target is not disturbed. `None` where anything is left to do, or differs.
    pub async fn done_before(
        &self,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Option<Migrated>, MigrateError> {
        if !KvStore::exists(&self.context, &self.options.prefix).await? {
            return Ok(None);
        }
        let counts = self.source.counts().await.map_err(MigrateError::Source)?;
        let target = KvStore::open(self.context.clone(), self.options.clone()).await?;
        let same = if target.is_moving() || !is_as_large(&target, counts).await? {
            Ok(None)
        } else {
            tables::compare(self.source, &target, counts, &mut progress).await.map(Some)
        };
        target.close().await;
        match same {
            Ok(tables) => {
                Ok(tables.map(|tables| Migrated { counts, already: counts.total(), written: 0, tables }))
            }
            Err(MigrateError::Differs { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves everything and compares. Tells how far it is after every piece. Until [`Migration::finish`] the target
    /// cannot be used.
    pub async fn run(&self, mut progress: impl FnMut(Progress) + Send) -> Result<Migrated, MigrateError> {
        let counts = self.source.counts().await.map_err(MigrateError::Source)?;
        let target = KvStore::open_to_move(self.context.clone(), self.options.clone()).await?;
        let copying = Copying::new(self.source, &target, counts, &mut progress);
        let copied = match close(&target, &copying).await {
            Ok(()) => copying.run().await,
            Err(error) => Err(error),
        };
        target.close().await;
        let (written, already) = copied?;

        // A view of its own: what is compared comes from the buckets, not from the memory of who wrote them.
        let target = KvStore::open(self.context.clone(), self.options.clone()).await?;
        let tables = tables::compare(self.source, &target, counts, &mut progress).await;
        target.close().await;
        Ok(Migrated { counts, already, written, tables: tables? })
    }

    /// Lets the target be used. For the end, when everything else that belongs to the bus is there, too.
    pub async fn finish(&self) -> Result<(), MigrateError> {
        let target = KvStore::open_to_move(self.context.clone(), self.options.clone()).await?;
        let finished = target.set_moving(false).await;
        target.close().await;
        finished.map_err(MigrateError::Target)
    }
}

/// Whether it can be the same: what differs in size need not be read.
async fn is_as_large(target: &KvStore, counts: Counts) -> Result<bool, MigrateError> {
    let size = target.view().size();
    let audit = target.audit_count().await.map_err(MigrateError::Target)?;
    let there = (size.users as u64, size.rooms as u64, target.file_count() as u64, audit);
    Ok(there == (counts.users, counts.rooms, counts.files, counts.audit))
}

/// Closes the target to everybody else, unless it holds other data. What is used by others is not even marked, and what
/// was written until the mark was there is looked at behind it.
async fn close(target: &KvStore, copying: &Copying<'_>) -> Result<(), MigrateError> {
    copying.check_target().await?;
    let was_begun = target.is_moving();
    target.set_moving(true).await.map_err(MigrateError::Target)?;
    let checked = copying.check_target().await;
    if checked.is_err() && !was_begun {
        target.set_moving(false).await.map_err(MigrateError::Target)?;
    }
    checked
}
