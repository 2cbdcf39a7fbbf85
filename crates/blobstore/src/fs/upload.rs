//! A blob on its way in: filled frame by frame on the caller's side, hashed and written by one job at a time.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::format::{FRAME, HEADER, Header, file_size};
use super::layout::{Layout, Staged};
use super::{BATCH, failure};
use crate::block_sum::{BLOCK, SUM, block_sum};
use crate::jobs::{Jobs, Promise};
use crate::{BlobError, BlobId, Committed, Digest, Upload};

/// After so many bytes they are flushed to the disk.
const FLUSH_EVERY: usize = 32 << 20;

/// An upload into a directory.
pub(super) struct FsUpload {
    jobs: Arc<Jobs>,
    layout: Layout,
    blob: BlobId,
    length: u64,
    received: u64,
    /// Frames being filled; the place of each checksum is left open.
    filling: Vec<u8>,
    /// Bytes of the last frame that are filled.
    in_block: usize,
    state: State,
}

enum State {
    Idle(Box<Writing>),
    Busy(JoinHandle<Result<Result<Box<Writing>, BlobError>, BlobError>>),
    Failed(BlobError),
}

/// What the job that writes works on.
struct Writing {
    // Before `staged`: closed, then removed.
    file: Arc<File>,
    flush: Arc<Flush>,
    /// Bytes written since the last flush began.
    unflushed: usize,
    staged: Staged,
    hasher: Sha256,
    digest: Digest,
    next_block: u64,
    promise: Promise,
}

/// Writing to the disk what was written to the file, while more comes: so that little is left to do at the end.
#[derive(Default)]
struct Flush {
    running: AtomicBool,
    /// The operating system reports a failure once; a later flush would not meet it again. Held while flushing.
    failed: Mutex<bool>,
}

impl FsUpload {
    /// Stages a file for a blob. Blocks.
    pub(super) fn begin(
        jobs: Arc<Jobs>,
        layout: Layout,
        blob: BlobId,
        length: u64,
        promise: Promise,
    ) -> io::Result<Self> {
        let (mut file, staged) = layout.stage()?;
        file.write_all(&Header { digest: blob.digest, length }.to_bytes())?;
        let writing = Writing {
            file: Arc::new(file),
            flush: Arc::default(),
            unflushed: 0,
            staged,
            hasher: Sha256::new(),
            digest: blob.digest,
            next_block: 0,
            promise,
        };
        Ok(Self {
            jobs,
            layout,
            blob,
            length,
            received: 0,
            filling: Vec::new(),
            in_block: 0,
            state: State::Idle(Box::new(writing)),
        })
    }

    /// Takes over bytes until the batch is full; returns the rest.
    fn fill(&mut self, mut part: Bytes) -> Bytes {
        while !part.is_empty() && self.filling.len() < BATCH * FRAME {
            let taken = part.split_to(part.len().min(BLOCK - self.in_block));
            self.filling.extend_from_slice(&taken);
            self.in_block += taken.len();
            if self.in_block == BLOCK {
                self.filling.extend_from_slice(&[0; SUM]);
                self.in_block = 0;
            }
        }
        part
    }

    /// Hands the filled frames to a job, once the one before has ended.
    async fn flush(&mut self) -> Result<(), BlobError> {
        if self.in_block > 0 {
            self.filling.extend_from_slice(&[0; SUM]);
            self.in_block = 0;
        }
        let mut writing = self.idle().await?;
        let frames = std::mem::take(&mut self.filling);
        self.filling.reserve_exact(frames.capacity());
        self.state = State::Busy(self.jobs.start(move || writing.write(frames).map(|()| writing)));
        Ok(())
    }

    /// Waits for the job under way.
    async fn idle(&mut self) -> Result<Box<Writing>, BlobError> {
        // What is left behind if the caller goes away while this waits is caught by `drop`.
        let outcome = match &mut self.state {
            State::Failed(error) => return Err(*error),
            State::Busy(job) => job.await.unwrap_or(Err(BlobError::Unavailable)).flatten(),
            State::Idle(_) => match std::mem::replace(&mut self.state, State::Failed(BlobError::Unavailable))
            {
                State::Idle(writing) => Ok(writing),
                State::Busy(_) | State::Failed(_) => Err(BlobError::Unavailable),
            },
        };
        self.state = State::Failed(outcome.as_ref().err().copied().unwrap_or(BlobError::Unavailable));
        outcome
    }
}

impl Writing {
    /// Hashes, sums up and writes frames. Blocks.
    fn write(&mut self, mut frames: Vec<u8>) -> Result<(), BlobError> {
        for frame in frames.chunks_mut(FRAME) {
            let (block, sum) = frame.split_at_mut(frame.len() - SUM);
            self.hasher.update(&*block);
            sum.copy_from_slice(&block_sum(&self.digest, self.next_block, block));
            self.next_block += 1;
        }
        (&*self.file).write_all(&frames).map_err(|error| failure(&self.promise.jobs, &error))?;
        self.promise.keep(frames.len() as u64);
        self.unflushed += frames.len();
        if self.unflushed >= FLUSH_EVERY && !self.flush.running.swap(true, Ordering::AcqRel) {
            self.unflushed = 0;
            self.start_flush();
        }
        Ok(())
    }

    /// One at a time, beside the next writes.
    fn start_flush(&self) {
        let (file, flush, jobs) = (self.file.clone(), self.flush.clone(), self.promise.jobs.clone());
        let flushing = move || {
            let mut failed = flush.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = file.sync_data() {
                failure(&jobs, &error);
                *failed = true;
            }
            drop(failed);
            flush.running.store(false, Ordering::Release);
        };
        drop(self.promise.jobs.start(flushing));
    }

    /// Makes the blob durable and visible. Blocks.
    fn publish(self, layout: &Layout, blob: &BlobId) -> Result<Committed, BlobError> {
        let Self { file, flush, staged, hasher, promise, .. } = self;
        if Digest::from_bytes(hasher.finalize().into()) != blob.digest {
            return Err(BlobError::DigestMismatch);
        }
        let failed = |error: io::Error| failure(&promise.jobs, &error);
        let flush_failed = flush.failed.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_all().map_err(failed)?;
        if *flush_failed {
            return Err(BlobError::Unavailable);
        }
        drop(flush_failed);
        drop(file);
        let committed = layout.publish(staged, blob).map_err(failed)?;
        promise.jobs.note_room(false);
        Ok(committed)
    }
}

#[async_trait]
impl Upload for FsUpload {
    async fn write(&mut self, part: Bytes) -> Result<(), BlobError> {
        if let State::Failed(error) = &self.state {
            return Err(*error);
        }
        self.received = self.received.saturating_add(part.len() as u64);
        if self.received > self.length {
            return Err(BlobError::LengthMismatch);
        }
        let mut rest = self.fill(part);
        while self.filling.len() >= BATCH * FRAME {
            self.flush().await?;
            rest = self.fill(rest);
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Committed, BlobError> {
        if self.received != self.length {
            return Err(BlobError::LengthMismatch);
        }
        self.flush().await?;
        let writing = self.idle().await?;
        let (layout, blob) = (self.layout.clone(), self.blob.clone());
        self.jobs.run(move || writing.publish(&layout, &blob)).await
    }
}

impl Drop for FsUpload {
    /// The staged file goes in a job, since that touches the disk.
    fn drop(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Failed(BlobError::Unavailable));
        if Handle::try_current().is_err() {
            // The runtime is gone, and nobody left to be held up.
            return drop(state);
        }
        match state {
            State::Idle(writing) => self.jobs.dispose(self.jobs.start(move || drop(writing))),
            State::Busy(job) => self.jobs.dispose(job),
            State::Failed(_) => {}
        }
    }
}

/// How much a blob's file takes.
pub(super) fn needed(length: u64) -> u64 {
    file_size(length).unwrap_or(u64::MAX).saturating_sub(HEADER as u64)
}
