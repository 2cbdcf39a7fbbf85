//! What JetStream is told when the broker is built.

use std::{path::PathBuf, time::Duration};

/// Whether a broker has streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JetStream {
    /// It has none: requests to `$JS.API` find nobody.
    Off,
    /// It has them.
    On(JetStreamConfig),
}

/// Streams: where they are kept, and how safely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamConfig {
    /// Where messages of streams with `file` storage are kept. Those with `memory` storage are in memory always.
    pub store: Store,
    /// When a publish is acknowledged.
    pub sync: SyncPolicy,
    /// Bounds of all streams together.
    pub limits: JetStreamLimits,
}

/// Where messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In memory: gone with the broker, also those of streams that ask for `file`. Right for tests.
    Memory,
    /// In this directory, which is created with mode 0700 and locked.
    Directory(PathBuf),
}

/// When a publish is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When it is on disk. Everything that arrives while one sync runs is covered by the next.
    Always,
    /// When it was handed to the operating system, which is told to write it to disk this often. A power failure loses
    /// what was acknowledged since.
    Every(Duration),
}

/// Bounds of all streams together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// Bytes of all streams in memory.
    pub max_memory: Option<u64>,
    /// Bytes of all streams on disk, as JetStream counts them.
    pub max_storage: Option<u64>,
    /// Streams.
    pub max_streams: Option<usize>,
    /// Consumers of one stream.
    pub max_consumers: Option<usize>,
    /// Bytes of messages that wait to be written. Publishers pause beyond it.
    pub max_uncommitted: usize,
}

impl JetStreamConfig {
    /// Streams in memory: for tests.
    pub fn in_memory() -> Self {
        Self { store: Store::Memory, sync: SyncPolicy::Always, limits: JetStreamLimits::default() }
    }

    /// Durable streams in a directory.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { store: Store::Directory(directory.into()), ..Self::in_memory() }
    }
}

impl Default for JetStreamLimits {
    fn default() -> Self {
        Self {
            max_memory: None,
            max_storage: None,
            max_streams: None,
            max_consumers: None,
            max_uncommitted: 32 * 1024 * 1024,
        }
    }
}
