//! A blob on its way out: one batch is checked ahead of the caller.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use super::format::{Damage, Header, frame_offset};
use super::{BATCH, failure};
use crate::block_sum::{BLOCK, SUM, block_sum};
use crate::jobs::Jobs;
use crate::{BlobError, BlobId, Digest, Download, ReadRange};

/// Batches whose room is kept to be used again: one that is read, one that waits, one that goes out.
const ROOMS: usize = 3;

/// A download from a directory.
pub(super) struct FsDownload {
    jobs: Arc<Jobs>,
    blob: BlobId,
    header: Header,
    file: Arc<File>,
    /// Present when the whole blob is read.
    hasher: Option<Sha256>,
    /// What is left to be handed out, as a range of the blob.
    start: u64,
    end: u64,
    /// The block that the next job begins with.
    next_block: u64,
    ahead: Option<JoinHandle<Result<Result<Batch, BlobError>, BlobError>>>,
    checked: Option<Bytes>,
    /// Batches that were handed out. Fresh memory would be cleared, and faulted in page by page, for each.
    out: VecDeque<Bytes>,
}

/// Blocks that were read and checked.
struct Batch {
    blocks: Bytes,
    hasher: Option<Sha256>,
}

impl FsDownload {
    pub(super) fn new(
        jobs: Arc<Jobs>,
        blob: BlobId,
        (file, header): (File, Header),
        range: ReadRange,
    ) -> Result<Self, BlobError> {
        let end = range.end.min(header.length);
        let is_whole = range.start == 0 && end == header.length;
        if !is_whole && range.start >= end {
            return Err(BlobError::OutOfRange { length: header.length });
        }
        Ok(Self {
            jobs,
            blob,
            header,
            file: Arc::new(file),
            hasher: is_whole.then(Sha256::new),
            start: range.start,
            end,
            next_block: range.start / BLOCK as u64,
            ahead: None,
            checked: None,
            out: VecDeque::new(),
        })
    }

    /// Starts the next job, if there is anything left to read.
    fn look_ahead(&mut self) {
        let behind = self.end.div_ceil(BLOCK as u64);
        if self.ahead.is_some() || self.next_block >= behind {
            return;
        }
        let blocks = (behind - self.next_block).min(BATCH as u64);
        let job = Reading {
            file: self.file.clone(),
            header: self.header,
            first: self.next_block,
            blocks,
            hasher: self.hasher.take(),
            room: self.room(),
        };
        self.next_block += blocks;
        let (jobs, blob) = (self.jobs.clone(), self.blob.clone());
        self.ahead = Some(self.jobs.start(move || job.run().map_err(|broken| broken.report(&jobs, &blob))));
    }

    /// The room of a batch that nobody needs any more.
    fn room(&mut self) -> Vec<u8> {
        let oldest = if self.out.front().is_some_and(Bytes::is_unique) { self.out.pop_front() } else { None };
        self.out.truncate(ROOMS);
        oldest.map(Vec::from).unwrap_or_default()
    }

    /// The part of a batch that was asked for.
    fn cut(&mut self, mut blocks: Bytes) -> Bytes {
        let skip = usize::try_from(self.start % BLOCK as u64).unwrap_or(0);
        drop(blocks.split_to(skip.min(blocks.len())));
        let wanted = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        blocks.truncate(wanted);
        self.start += blocks.len() as u64;
        blocks
    }

    fn give_up(&mut self) {
        self.end = self.start;
        self.next_block = u64::MAX;
    }
}

#[async_trait]
impl Download for FsDownload {
    fn blob_length(&self) -> u64 {
        self.header.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.checked.is_none() && self.start < self.end {
            self.look_ahead();
            let Some(job) = &mut self.ahead else { return Err(BlobError::Unavailable) };
            let outcome = job.await.unwrap_or(Err(BlobError::Unavailable)).flatten();
            self.ahead = None;
            match outcome {
                Ok(batch) => {
                    self.hasher = batch.hasher;
                    self.out.push_back(batch.blocks.clone());
                    self.checked = Some(batch.blocks);
                    self.look_ahead();
                }
                Err(error) => {
                    self.give_up();
                    return Err(error);
                }
            }
        }
        Ok(self.checked.take().map(|blocks| self.cut(blocks)))
    }
}

/// What one job reads.
struct Reading {
    file: Arc<File>,
    header: Header,
    first: u64,
    blocks: u64,
    /// Of the blocks before, when the whole blob is read.
    hasher: Option<Sha256>,
    /// Memory to read into.
    room: Vec<u8>,
}

enum Broken {
    Io(io::Error),
    Damage(Damage),
}

impl Broken {
    fn report(self, jobs: &Jobs, blob: &BlobId) -> BlobError {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                damaged(jobs, blob, Damage::Size)
            }
            Self::Io(error) => failure(jobs, &error),
            Self::Damage(damage) => damaged(jobs, blob, damage),
        }
    }
}

impl Reading {
    /// Reads and checks; blocks. The last block of a whole blob leaves here only when the digest is right.
    fn run(mut self) -> Result<Batch, Broken> {
        let behind = self.first + self.blocks;
        let mut blocks = std::mem::take(&mut self.room);
        blocks.resize((self.first..behind).map(|number| self.header.block_length(number)).sum(), 0);
        let mut sums = vec![[0; SUM]; blocks.len().div_ceil(BLOCK)];
        self.read(&mut blocks, &mut sums).map_err(Broken::Io)?;
        for (number, (block, sum)) in (self.first..).zip(blocks.chunks(BLOCK).zip(&sums)) {
            if block_sum(&self.header.digest, number, block) != *sum {
                return Err(Broken::Damage(Damage::Block(number)));
            }
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&blocks);
        }
        if behind == self.header.blocks()
            && let Some(hasher) = self.hasher.take()
            && Digest::from_bytes(hasher.finalize().into()) != self.header.digest
        {
            return Err(Broken::Damage(Damage::Content));
        }
        Ok(Batch { blocks: blocks.into(), hasher: self.hasher })
    }

    /// Reads blocks, and their checksums from between them.
    fn read(&self, blocks: &mut [u8], sums: &mut [[u8; SUM]]) -> io::Result<()> {
        let frames = blocks.chunks_mut(BLOCK).zip(sums);
        let mut parts: Vec<IoSliceMut<'_>> =
            frames.flat_map(|(block, sum)| [IoSliceMut::new(block), IoSliceMut::new(sum)]).collect();
        let (mut parts, mut offset) = (&mut parts[..], frame_offset(self.first));
        while !parts.is_empty() {
            match rustix::io::preadv(&self.file, parts, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    IoSliceMut::advance_slices(&mut parts, read);
                    offset += read as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Logs what was found, and counts it.
pub(super) fn damaged(jobs: &Jobs, blob: &BlobId, damage: Damage) -> BlobError {
    tracing::error!(%blob, %damage, "a stored file is damaged");
    jobs.found_damage();
    BlobError::Damaged
}
