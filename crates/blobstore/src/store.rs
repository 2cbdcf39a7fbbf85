//! The contract of every backend, in words and as traits.
//!
//! - **Whole or not at all.** A blob can be seen only after [`Upload::commit`] returned `Ok`, whole and with the digest
//!   that names it; also when the process is killed at any moment.
//! - **Durable.** What was committed survives a crash and a power cut.
//! - **Idempotent.** Any number of uploads of the same blob, at once or after each other, leave it there once.
//!   Committing what is there already makes it young again, and repairs it if it was damaged.
//! - **Verified.** A [`Download`] hands out only bytes that were checked, in any range. A read of a whole blob fails
//!   rather than end cleanly when the bytes do not hash to its digest.
//! - **Constant memory.** An upload or download holds a few blocks, whatever the blob's size.
//! - **Nothing leaks.** An upload that is dropped, or fails, leaves nothing behind; what a killed process left is gone
//!   after the next start, or once it is old ([`BlobStore::sweep_staged`]).
//! - **Deleted is gone.** After [`BlobStore::remove`] or [`BlobStore::remove_space`] no new read finds the blob. A
//!   download under way goes on, or fails; it never ends cleanly too early.
//!
//! [`crate::conformance`] checks all of this against any backend.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{BlobError, BlobId, Space};

/// What the caller knows of a blob before it arrives, besides its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// How many bytes will come.
    pub length: u64,
}

/// What is known of a stored blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its length in bytes.
    pub length: u64,
}

/// Part of a blob: bytes `start..end`. An end beyond the blob's is cut to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

impl ReadRange {
    /// All of a blob.
    pub const WHOLE: Self = Self { start: 0, end: u64::MAX };
}

/// How a commit ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The blob is new.
    New,
    /// It was there already.
    Again,
}

/// A blob as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The blob.
    pub blob: BlobId,
    /// When it was last committed.
    pub stored: SystemTime,
}

/// How a store is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// How often a read met damage since the store was opened.
    pub damaged: u64,
    /// Whether the last upload found no room.
    pub full: bool,
}

/// Blobs by space and digest. The module says what every backend promises.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Begins to store a blob. Refuses at once what will not fit.
    async fn begin(&self, blob: &BlobId, expected: Expected) -> Result<Box<dyn Upload>, BlobError>;

    /// Whether a blob is there, and how long it is.
    async fn stat(&self, blob: &BlobId) -> Result<BlobInfo, BlobError>;

    /// Begins to read a blob or part of it. A range that begins beyond the end is [`BlobError::OutOfRange`].
    async fn read(&self, blob: &BlobId, range: ReadRange) -> Result<Box<dyn Download>, BlobError>;

    /// Deletes a blob. Returns whether it was there.
    async fn remove(&self, blob: &BlobId) -> Result<bool, BlobError>;

    /// Deletes a blob unless it was committed within `age`, or is in this moment: for whoever knows of a time in which
    /// nothing referred to it, and shares the store with others who may store it again. Returns whether it did.
    async fn remove_older(&self, blob: &BlobId, age: Duration) -> Result<bool, BlobError>;

    /// Whether other processes store and delete here, too.
    fn is_shared(&self) -> bool;

    /// Deletes a space and everything in it. Idempotent.
    async fn remove_space(&self, space: &Space) -> Result<(), BlobError>;

    /// At most `limit` blobs behind `after`, ordered by space and digest.
    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<Vec<Found>, BlobError>;

    /// Removes what uploads left behind that have not moved for `age`. Returns how many there were.
    async fn sweep_staged(&self, age: Duration) -> Result<usize, BlobError>;

    /// How the store is, from memory.
    fn health(&self) -> Health;

    /// Waits for the jobs under way, then lets go of the storage. Everything after this is
    /// [`BlobError::Unavailable`].
    async fn close(&self);
}

/// A blob on its way in. Dropping it gives the upload up.
#[async_trait]
pub trait Upload: Send {
    /// Adds the next bytes.
    async fn write(&mut self, part: Bytes) -> Result<(), BlobError>;

    /// Checks length and digest and makes the blob visible and durable.
    async fn commit(self: Box<Self>) -> Result<Committed, BlobError>;
}

/// A blob, or part of it, on its way out.
#[async_trait]
pub trait Download: Send {
    /// The blob's whole length.
    fn blob_length(&self) -> u64;

    /// The next checked bytes; `None` at the end. After an error there is nothing more.
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError>;
}
