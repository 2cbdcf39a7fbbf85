//! Blobs in a directory of this machine.
//!
//! `stage -> write and hash -> check -> fsync -> rename -> fsync the directory`. The directory is its owner's alone and
//! locked while the store is open; what a killed process left staged is removed when it is opened.

mod download;
mod format;
mod layout;
mod open;
mod upload;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    BlobError, BlobId, BlobInfo, BlobStore, Download, Expected, Found, FsLimits, Health, ReadRange, Space,
    Upload,
    jobs::{Jobs, Promise},
};
use download::{FsDownload, damaged};
use format::Header;
use layout::Layout;
use open::Lock;
use upload::FsUpload;

pub use open::OpenError;

/// Blocks that one job moves: an upload holds two such batches, a download two.
const BATCH: usize = 8;

/// How a store is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FsOptions {
    /// How much at once, and how much to leave free.
    pub limits: FsLimits,
}

/// A [`BlobStore`] in a directory.
#[derive(Debug)]
pub struct FsStore {
    layout: Layout,
    jobs: Arc<Jobs>,
    limits: FsLimits,
    lock: Mutex<Option<Lock>>,
}

impl FsStore {
    /// Opens, or creates, the store in this directory.
    ///
    /// Missing directories are created with mode 0700. What uploads of a process before left behind is removed.
    pub async fn open(directory: impl AsRef<Path>, options: FsOptions) -> Result<Self, OpenError> {
        let directory = directory.as_ref().to_owned();
        let named = directory.clone();
        let opened = tokio::task::spawn_blocking(move || open::open(&directory)).await;
        let (layout, lock) = opened.unwrap_or_else(|join| {
            Err(OpenError::Unusable { path: named, source: io::Error::other(join) })
        })?;
        Ok(Self {
            layout,
            jobs: Arc::new(Jobs::new(options.limits.jobs)),
            limits: options.limits,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Opens a blob's file and checks its header.
    async fn open_blob(&self, blob: &BlobId) -> Result<(File, Header), BlobError> {
        let (layout, jobs, blob) = (self.layout.clone(), self.jobs.clone(), blob.clone());
        self.jobs
            .run(move || {
                let file = match File::open(layout.blob(&blob)) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::NotFound),
                    Err(error) => return Err(failure(&jobs, &error)),
                };
                match Header::read(&file, &blob.digest) {
                    Ok(Ok(header)) => Ok((file, header)),
                    Ok(Err(damage)) => Err(damaged(&jobs, &blob, damage)),
                    Err(error) => Err(failure(&jobs, &error)),
                }
            })
            .await
    }

    /// Runs an operation on the directory.
    async fn on_disk<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Layout) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BlobError> {
        let (layout, jobs) = (self.layout.clone(), self.jobs.clone());
        self.jobs.run(move || operation(&layout).map_err(|error| failure(&jobs, &error))).await
    }
}

#[async_trait]
impl BlobStore for FsStore {
    async fn begin(&self, blob: &BlobId, expected: Expected) -> Result<Box<dyn Upload>, BlobError> {
        let (layout, jobs, blob) = (self.layout.clone(), self.jobs.clone(), blob.clone());
        let keep_free = self.limits.keep_free;
        let begin = move || {
            let needed = upload::needed(expected.length);
            // Counted before the disk is asked, so that of two uploads at least one sees the other.
            let promise = Promise::new(jobs.clone(), needed);
            let promised = jobs.promised.load(Ordering::Relaxed);
            let free = free_bytes(layout.root()).map_err(|error| failure(&jobs, &error))?;
            if free < promised.saturating_add(keep_free) {
                tracing::warn!(free, promised, keep_free, "no room for an upload");
                jobs.note_room(true);
                return Err(BlobError::Full);
            }
            FsUpload::begin(jobs.clone(), layout, blob, expected.length, promise)
                .map_err(|error| failure(&jobs, &error))
        };
        Ok(Box::new(self.jobs.run(begin).await?))
    }

    async fn stat(&self, blob: &BlobId) -> Result<BlobInfo, BlobError> {
        let (_, header) = self.open_blob(blob).await?;
        Ok(BlobInfo { length: header.length })
    }

    async fn read(&self, blob: &BlobId, range: ReadRange) -> Result<Box<dyn Download>, BlobError> {
        let opened = self.open_blob(blob).await?;
        Ok(Box::new(FsDownload::new(self.jobs.clone(), blob.clone(), opened, range)?))
    }

    async fn remove(&self, blob: &BlobId) -> Result<bool, BlobError> {
        let blob = blob.clone();
        self.on_disk(move |layout| layout.remove(&blob)).await
    }

    async fn remove_older(&self, blob: &BlobId, age: Duration) -> Result<bool, BlobError> {
        let blob = blob.clone();
        self.on_disk(move |layout| layout.remove_older(&blob, age)).await
    }

    /// The directory is locked.
    fn is_shared(&self) -> bool {
        false
    }

    async fn remove_space(&self, space: &Space) -> Result<(), BlobError> {
        let space = space.clone();
        self.on_disk(move |layout| layout.remove_space(&space)).await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<Vec<Found>, BlobError> {
        let after = after.cloned();
        self.on_disk(move |layout| layout.list(after.as_ref(), limit)).await
    }

    async fn sweep_staged(&self, age: Duration) -> Result<usize, BlobError> {
        self.on_disk(move |layout| layout.sweep_staged(age)).await
    }

    fn health(&self) -> Health {
        self.jobs.health()
    }

    async fn close(&self) {
        self.jobs.close().await;
        drop(self.lock.lock().await.take());
    }
}

/// What an error of the operating system means to a caller.
fn failure(jobs: &Jobs, error: &io::Error) -> BlobError {
    if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ) {
        tracing::warn!(%error, "no room for an upload");
        jobs.note_room(true);
        return BlobError::Full;
    }
    tracing::error!(%error, "the file store does not work");
    BlobError::Unavailable
}

/// Bytes that this process may still write to the disk.
fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
