//! How much all streams hold together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{api_error::ApiError, config::JetStreamLimits, stream_config::Storage};

/// Bytes of all streams, as JetStream counts them, those that are about to be written included, and their bounds.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    file: AtomicU64,
    memory: AtomicU64,
    max_file: Option<u64>,
    max_memory: Option<u64>,
}

impl Usage {
    pub(crate) fn new(limits: &JetStreamLimits) -> Self {
        Self { max_file: limits.max_storage, max_memory: limits.max_memory, ..Self::default() }
    }

    /// Takes so many bytes, if there are so many left.
    pub(crate) fn reserve(&self, storage: Storage, bytes: u64) -> Result<(), ApiError> {
        let most = self.most(storage).unwrap_or(u64::MAX);
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= most);
        self.of(storage).fetch_update(Relaxed, Relaxed, fits).map(|_| ()).map_err(|_| Self::exceeded(storage))
    }

    /// What is said when there is no room left.
    pub(crate) fn exceeded(storage: Storage) -> ApiError {
        match storage {
            Storage::File => ApiError::storage_resources_exceeded(),
            Storage::Memory => ApiError::memory_resources_exceeded(),
        }
    }

    /// The bound of streams of this kind.
    pub(crate) fn most(&self, storage: Storage) -> Option<u64> {
        match storage {
            Storage::File => self.max_file,
            Storage::Memory => self.max_memory,
        }
    }

    pub(crate) fn add(&self, storage: Storage, bytes: u64) {
        self.of(storage).fetch_add(bytes, Relaxed);
    }

    pub(crate) fn subtract(&self, storage: Storage, bytes: u64) {
        self.of(storage).fetch_sub(bytes, Relaxed);
    }

    /// Bytes held in streams of this kind.
    pub(crate) fn held(&self, storage: Storage) -> u64 {
        self.of(storage).load(Relaxed)
    }

    fn of(&self, storage: Storage) -> &AtomicU64 {
        match storage {
            Storage::File => &self.file,
            Storage::Memory => &self.memory,
        }
    }
}
