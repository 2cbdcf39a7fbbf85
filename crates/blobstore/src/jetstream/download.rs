//! A blob on its way out: a few chunks are asked for ahead of the caller.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::chunks::NoChunk;
use super::object::{Copy, Damage};
use crate::{BlobError, BlobId, Digest, Download, ReadRange};

/// Chunks under way at once.
const WINDOW: usize = 4;

/// A download from JetStream.
pub(super) struct JetStreamDownload {
    shared: Arc<Shared>,
    blob: BlobId,
    copy: Copy,
    /// Present when the whole blob is read.
    hasher: Option<Sha256>,
    /// What is left to be handed out, as a range of the blob.
    start: u64,
    end: u64,
    /// The chunk that is asked for next.
    next_chunk: u64,
    requests: FuturesOrdered<BoxFuture<'static, Result<Bytes, NoChunk>>>,
    is_torn: bool,
}

impl JetStreamDownload {
    pub(super) fn new(
        shared: Arc<Shared>,
        blob: BlobId,
        copy: Copy,
        range: ReadRange,
    ) -> Result<Self, BlobError> {
        let end = range.end.min(copy.length);
        let is_whole = range.start == 0 && end == copy.length;
        if !is_whole && range.start >= end {
            return Err(BlobError::OutOfRange { length: copy.length });
        }
        if is_whole && copy.length == 0 && Digest::of(b"") != blob.digest {
            return Err(shared.damaged(&blob, &Damage::Content));
        }
        Ok(Self {
            shared,
            blob,
            copy,
            hasher: is_whole.then(Sha256::new),
            start: range.start,
            end,
            next_chunk: range.start / copy.chunk,
            requests: FuturesOrdered::new(),
            is_torn: false,
        })
    }

    /// Asks for chunks ahead.
    fn look_ahead(&mut self) {
        let behind = self.end.div_ceil(self.copy.chunk);
        while self.requests.len() < WINDOW && self.next_chunk < behind {
            let (shared, digest) = (self.shared.clone(), self.blob.digest);
            let (copy, number) = (self.copy, self.next_chunk);
            self.requests.push_back(Box::pin(async move { shared.bucket.chunk(digest, copy, number).await }));
            self.next_chunk += 1;
        }
    }

    /// The chunk that is to be handed out next, from the copy that is the blob now.
    async fn chunk(&mut self) -> Result<Bytes, BlobError> {
        loop {
            self.look_ahead();
            let Some(outcome) = self.requests.next().await else { return Err(BlobError::Unavailable) };
            let number = self.start / self.copy.chunk;
            let damage = match outcome {
                Ok(chunk) => return Ok(chunk),
                Err(NoChunk::Unavailable) => return Err(BlobError::Unavailable),
                Err(NoChunk::Missing) => Damage::Missing(number),
                Err(NoChunk::Damaged) => Damage::Chunk(number),
            };
            // Stored again meanwhile, it is read on from the new copy; removed, it is not found.
            let now = self.shared.copy(&self.blob).await?;
            if now.id == self.copy.id {
                return Err(self.shared.damaged(&self.blob, &damage));
            }
            if now.length != self.copy.length {
                return Err(self.shared.damaged(&self.blob, &Damage::Content));
            }
            self.copy = now;
            self.requests = FuturesOrdered::new();
            self.next_chunk = self.start / now.chunk;
        }
    }

    /// Checks what leaves as a part of the whole. The last part leaves only when the digest is right.
    async fn check(&mut self, part: Bytes) -> Result<Bytes, BlobError> {
        let Some(mut hasher) = self.hasher.take() else { return Ok(part) };
        let (is_last, expected) = (self.start == self.end, self.blob.digest);
        let job = move || {
            hasher.update(&part);
            let is_right = !is_last || Digest::from_bytes(hasher.clone().finalize().into()) == expected;
            Ok((hasher, part, is_right))
        };
        let (hasher, part, is_right) = self.shared.jobs.run(job).await?;
        self.hasher = Some(hasher);
        if is_right { Ok(part) } else { Err(self.shared.damaged(&self.blob, &Damage::Content)) }
    }

    async fn next_part(&mut self) -> Result<Bytes, BlobError> {
        self.shared.check_open()?;
        let mut part = self.chunk().await?;
        let skip = usize::try_from(self.start % self.copy.chunk).unwrap_or(usize::MAX);
        drop(part.split_to(skip.min(part.len())));
        part.truncate(usize::try_from(self.end - self.start).unwrap_or(usize::MAX));
        self.start += part.len() as u64;
        self.look_ahead();
        self.check(part).await
    }
}

#[async_trait]
impl Download for JetStreamDownload {
    fn blob_length(&self) -> u64 {
        self.copy.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.start >= self.end {
            return Ok(None);
        }
        if self.is_torn {
            return Err(BlobError::Unavailable);
        }
        // A call that is dropped in the middle may have taken a part with it.
        self.is_torn = true;
        let part = self.next_part().await;
        self.is_torn = false;
        if part.is_err() {
            self.end = self.start;
        }
        part.map(Some)
    }
}
