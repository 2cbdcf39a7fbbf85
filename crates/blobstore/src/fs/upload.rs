//! A blob on its way in: filled frame by frame on the caller's side, then hashed by one job and written by another.

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
    /// Frames being filled, and those that are being hashed and written or were.
    filling: Vec<u8>,
    filled: Arc<Vec<u8>>,
    /// Bytes of the last frame that are filled.
    in_block: usize,
    /// The number of that frame's block.
    block: u64,
    state: State,
}

enum State {
    Idle(Box<Writing>),
    /// The bytes before are hashed and written.
    Busy(JoinHandle<Result<(Sha256, Written), BlobError>>),
    Failed(BlobError),
}

type Written = Result<Box<Writing>, BlobError>;

/// What the job that writes works on.
struct Writing {
    // Before `staged`: closed, then removed.
    file: Arc<File>,
    flush: Arc<Flush>,
    /// Bytes written since the last flush began.
    unflushed: usize,
    staged: Staged,
    hasher: Sha256,
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
            promise,
        };
        Ok(Self {
            jobs,
            layout,
            blob,
            length,
            received: 0,
            filling: Vec::new(),
            filled: Arc::default(),
            in_block: 0,
            block: 0,
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
                self.end_block();
            }
        }
        part
    }

    /// Puts the checksum behind the block that was filled.
    fn end_block(&mut self) {
        let block = &self.filling[self.filling.len() - self.in_block..];
        let sum = block_sum(&self.blob.digest, self.block, block);
        self.filling.extend_from_slice(&sum);
        self.in_block = 0;
        self.block += 1;
    }

    /// Hands the filled frames to a job, once the one before has ended.
    async fn flush(&mut self) -> Result<(), BlobError> {
        if self.in_block > 0 {
            self.end_block();
        }
        let mut writing = self.idle().await?;
        // The jobs have ended: the room of what they had is filled again.
        let mut room = Arc::try_unwrap(std::mem::take(&mut self.filled)).unwrap_or_default();
        room.clear();
        room.reserve_exact(self.filling.capacity());
        self.filled = Arc::new(std::mem::replace(&mut self.filling, room));
        let (frames, hashed) = (self.filled.clone(), self.filled.clone());
        let mut hasher = std::mem::take(&mut writing.hasher);
        let hashing = move || {
            for frame in hashed.chunks(FRAME) {
                hasher.update(&frame[..frame.len() - SUM]);
            }
            hasher
        };
        let writing = move || writing.write(&frames).map(|()| writing);
        self.state = State::Busy(self.jobs.start_both(hashing, writing));
        Ok(())
    }

    /// Waits for the job under way.
    async fn idle(&mut self) -> Result<Box<Writing>, BlobError> {
        // What is left behind if the caller goes away while this waits is caught by `drop`.
        let outcome = match &mut self.state {
            State::Failed(error) => return Err(*error),
            State::Busy(jobs) => {
                jobs.await.unwrap_or(Err(BlobError::Unavailable)).and_then(|(hasher, written)| {
                    let mut writing = written?;
                    writing.hasher = hasher;
                    Ok(writing)
                })
            }
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
    /// Writes frames. Blocks.
    fn write(&mut self, frames: &[u8]) -> Result<(), BlobError> {
        (&*self.file).write_all(frames).map_err(|error| failure(&self.promise.jobs, &error))?;
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
