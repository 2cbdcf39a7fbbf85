//! A blob on its way out: one batch is checked ahead of the caller.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use super::format::{Damage, FRAME, Header, frame_offset};
use super::{BATCH, failure};
use crate::block_sum::{BLOCK, SUM, block_sum};
use crate::jobs::Jobs;
use crate::{BlobError, BlobId, Digest, Download, ReadRange};

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
    checked: VecDeque<Bytes>,
}

/// Blocks that were read and checked.
struct Batch {
    blocks: Vec<Bytes>,
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
            checked: VecDeque::new(),
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
        };
        self.next_block += blocks;
        let (jobs, blob) = (self.jobs.clone(), self.blob.clone());
        self.ahead = Some(self.jobs.start(move || job.run().map_err(|broken| broken.report(&jobs, &blob))));
    }

    /// The part of a block that was asked for.
    fn cut(&mut self, mut block: Bytes) -> Bytes {
        let skip = usize::try_from(self.start % BLOCK as u64).unwrap_or(0);
        drop(block.split_to(skip.min(block.len())));
        let wanted = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        block.truncate(wanted);
        self.start += block.len() as u64;
        block
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
        if self.checked.is_empty() && self.start < self.end {
            self.look_ahead();
            let Some(job) = &mut self.ahead else { return Err(BlobError::Unavailable) };
            let outcome = job.await.unwrap_or(Err(BlobError::Unavailable)).flatten();
            self.ahead = None;
            match outcome {
                Ok(batch) => {
                    self.hasher = batch.hasher;
                    self.checked.extend(batch.blocks);
                    self.look_ahead();
                }
                Err(error) => {
                    self.give_up();
                    return Err(error);
                }
            }
        }
        Ok(self.checked.pop_front().map(|block| self.cut(block)))
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
        let lengths: Vec<usize> =
            (self.first..self.first + self.blocks).map(|number| self.header.block_length(number)).collect();
        let mut frames = vec![0; lengths.iter().map(|length| length + SUM).sum()];
        self.file.read_exact_at(&mut frames, frame_offset(self.first)).map_err(Broken::Io)?;
        for (number, frame) in (self.first..).zip(frames.chunks(FRAME)) {
            let (block, sum) = frame.split_at(frame.len() - SUM);
            if block_sum(&self.header.digest, number, block) != *sum {
                return Err(Broken::Damage(Damage::Block(number)));
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(block);
            }
        }
        if self.first + self.blocks == self.header.blocks()
            && let Some(hasher) = self.hasher.take()
            && Digest::from_bytes(hasher.finalize().into()) != self.header.digest
        {
            return Err(Broken::Damage(Damage::Content));
        }
        let mut frames = Bytes::from(frames);
        let blocks = lengths.iter().map(|length| {
            let mut frame = frames.split_to(length + SUM);
            frame.truncate(*length);
            frame
        });
        Ok(Batch { blocks: blocks.collect(), hasher: self.hasher })
    }
}

/// Logs what was found, and counts it.
pub(super) fn damaged(jobs: &Jobs, blob: &BlobId, damage: Damage) -> BlobError {
    tracing::error!(%blob, %damage, "a stored file is damaged");
    jobs.found_damage();
    BlobError::Damaged
}
