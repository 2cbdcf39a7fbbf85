//! The storage engine, set up for streams.

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
    config::{BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry},
};
use std::path::Path;

const MIB: u64 = 1024 * 1024;

/// Numbers the engine gave to our keyspaces, in the order in which they are made.
pub(super) const MESSAGES: u64 = 1;
pub(super) const SUBJECTS: u64 = 2;
pub(super) const STATE: u64 = 3;

/// Values from this size on are kept beside the tree, so that compaction does not copy them again and again.
const SEPARATE_FROM: u32 = 4 * 1024;
/// One journal is 64 MiB when it is full; beyond this, whoever holds up the oldest is flushed. Starting takes as long as
/// reading the journals does.
const MAX_JOURNALS: u64 = 64 * MIB;
/// Blocks that were read. Consumers that keep up find their messages in memtables, so this serves those that do not.
const CACHE: u64 = 64 * MIB;
/// One flushes and compacts by turns. With more of them the engine keeps one for flushing, and that one spins, taking a
/// whole processor, for as long as another one compacts.
const WORKERS: usize = 1;
const MAX_FILES: usize = 512;

/// A database with our three keyspaces.
pub(super) struct Engine {
    pub(super) database: Database,
    pub(super) messages: Keyspace,
    pub(super) subjects: Keyspace,
    pub(super) state: Keyspace,
}

impl Engine {
    /// Opens a database, or makes one.
    pub(super) fn open(path: &Path) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(CACHE)
            .max_journaling_size(MAX_JOURNALS)
            .worker_threads(WORKERS)
            .max_cached_files(Some(MAX_FILES))
            .open()?;
        // The order gives them their numbers.
        let messages = database.keyspace("messages", || {
            // Sequences only grow, so tables hardly overlap: a key range says as much as a filter would, for nothing.
            tuned(32 * MIB)
                .filter_policy(FilterPolicy::disabled())
                .data_block_size_policy(BlockSizePolicy::all(8 * 1024))
                .with_kv_separation(Some(
                    KvSeparationOptions::default()
                        .separation_threshold(SEPARATE_FROM)
                        .file_target_size(64 * MIB),
                ))
        })?;
        // Only ever read by range, where filters are of no use.
        let subjects =
            database.keyspace("subjects", || tuned(16 * MIB).filter_policy(FilterPolicy::disabled()))?;
        let state = database.keyspace("state", || {
            tuned(8 * MIB).filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
                BloomConstructionPolicy::BitsPerKey(10.0),
            )))
        })?;
        Ok(Self { database, messages, subjects, state })
    }

    /// Makes everything durable that was committed.
    pub(super) fn persist(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncData)?;
        // The engine syncs on a thread of its own as well. A failure is told once: if it was told there, this one has heard
        // of none, and the engine is poisoned by now.
        self.database.persist(PersistMode::Buffer)
    }
}

fn tuned(memtable: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(memtable)
}
