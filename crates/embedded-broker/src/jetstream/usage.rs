//! How much all streams hold together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{api_error::ApiError, config::JetStreamLimits, stream_config::Storage};

/// Bytes of all streams, as JetStream counts them, and their bounds.
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

    /// Whether so many bytes more may be stored.
    pub(crate) fn check(&self, storage: Storage, bytes: u64) -> Result<(), ApiError> {
        let (held, most) = match storage {
            Storage::File => (&self.file, self.max_file),
            Storage::Memory => (&self.memory, self.max_memory),
        };
        match most {
            Some(most) if held.load(Relaxed) + bytes > most => Err(match storage {
                Storage::File => ApiError::storage_resources_exceeded(),
                Storage::Memory => ApiError::memory_resources_exceeded(),
            }),
            _ => Ok(()),
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
