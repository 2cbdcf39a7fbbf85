//! A blob on its way in: framed on the caller's side, without being copied, then hashed by one job and written by another.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::format::{HEADER, Header, file_size};
use super::layout::{Layout, Staged};
use super::{BATCH, failure};
use crate::block_sum::{BLOCK, SUM, block_sum_of};
use crate::jobs::{Jobs, Promise};
use crate::{BlobError, BlobId, Committed, Digest, Upload};

/// After so many bytes they are flushed to the disk.
const FLUSH_EVERY: usize = 32 << 20;

/// A part shorter than this is copied. One that is kept as it came holds the whole buffer that it was received in, which
/// may be several times as long.
const COPIED: usize = 16 * 1024;

/// An upload into a directory.
pub(super) struct FsUpload {
    jobs: Arc<Jobs>,
    layout: Layout,
    blob: BlobId,
    length: u64,
    received: u64,
    /// Frames being filled, and where the pieces of the last begin.
    filling: Vec<Piece>,
    frame: usize,
    /// What is behind these pieces, of parts too short to be kept as they came.
    short: BytesMut,
    /// Bytes of the last frame's block that are here.
    in_block: usize,
    /// The number of that block.
    block: u64,
    /// The first block of those that are being filled.
    first: u64,
    state: State,
}

/// A piece of a frame.
enum Piece {
    Content(Bytes),
    Sum([u8; SUM]),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Content(bytes) => bytes,
            Self::Sum(sum) => sum,
        }
    }

    fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Content(bytes) => Some(bytes),
            Self::Sum(_) => None,
        }
    }
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
            frame: 0,
            short: BytesMut::new(),
            in_block: 0,
            block: 0,
            first: 0,
            state: State::Idle(Box::new(writing)),
        })
    }

    /// Whether a job has enough to do.
    fn is_full(&self) -> bool {
        self.block - self.first >= BATCH as u64
    }

    /// Takes over bytes until the batch is full; returns the rest.
    fn fill(&mut self, mut part: Bytes, copied: bool) -> Bytes {
        while !part.is_empty() && !self.is_full() {
            let taken = part.split_to(part.len().min(BLOCK - self.in_block));
            self.in_block += taken.len();
            if copied {
                self.short.extend_from_slice(&taken);
            } else {
                self.end_short();
                self.filling.push(Piece::Content(taken));
            }
            if self.in_block == BLOCK {
                self.end_block();
            }
        }
        part
    }

    fn end_short(&mut self) {
        if !self.short.is_empty() {
            self.filling.push(Piece::Content(self.short.split().freeze()));
        }
    }

    /// Puts the checksum behind the block that was filled.
    fn end_block(&mut self) {
        self.end_short();
        let pieces = self.filling[self.frame..].iter().map(Piece::bytes);
        let sum = block_sum_of(&self.blob.digest, self.block, pieces);
        self.filling.push(Piece::Sum(sum));
        self.frame = self.filling.len();
        self.in_block = 0;
        self.block += 1;
    }

    /// Hands the filled frames to a job, once the one before has ended.
    async fn flush(&mut self) -> Result<(), BlobError> {
        if self.in_block > 0 {
            self.end_block();
        }
        let mut writing = self.idle().await?;
        let frames = Arc::new(std::mem::take(&mut self.filling));
        (self.frame, self.first) = (0, self.block);
        let hashed = frames.clone();
        let mut hasher = std::mem::take(&mut writing.hasher);
        let hashing = move || {
            hashed.iter().filter_map(Piece::content).for_each(|content| hasher.update(content));
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
    fn write(&mut self, frames: &[Piece]) -> Result<(), BlobError> {
        let written = write_all(&self.file, frames).map_err(|error| failure(&self.promise.jobs, &error))?;
        self.promise.keep(written as u64);
        self.unflushed += written;
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
        let copied = part.len() < COPIED;
        let mut rest = self.fill(part, copied);
        while self.is_full() {
            self.flush().await?;
            rest = self.fill(rest, copied);
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

/// Writes pieces one behind the other; answers how many bytes they are.
fn write_all(mut file: &File, pieces: &[Piece]) -> io::Result<usize> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece.bytes())).collect();
    let length = slices.iter().map(|slice| slice.len()).sum();
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// How much a blob's file takes.
pub(super) fn needed(length: u64) -> u64 {
    file_size(length).unwrap_or(u64::MAX).saturating_sub(HEADER as u64)
}
