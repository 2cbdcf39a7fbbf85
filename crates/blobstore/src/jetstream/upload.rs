//! A blob on its way in: chunk by chunk into a copy that nobody sees, until one message (`upload/publish.rs`) makes it the
//! blob.

mod publish;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Shared;
use super::bucket::Sent;
use super::chunks::Chunk;
use super::layout::CopyId;
use super::object::Copy;
use crate::block_sum::block_sum;
use crate::jobs::Promise;
use crate::{BlobError, BlobId, Committed, Digest, Upload};

/// Chunks under way at once.
const WINDOW: usize = 4;

/// An upload into JetStream.
pub(super) struct JetStreamUpload {
    shared: Arc<Shared>,
    blob: BlobId,
    copy: Copy,
    /// The revision of the note about the copy.
    note: u64,
    received: u64,
    filling: BytesMut,
    hasher: Sha256,
    next_chunk: u64,
    /// Chunks that were sent and not acknowledged, by number.
    unsettled: VecDeque<Unsettled>,
    /// Of the chunk that was settled last.
    last_revision: u64,
    /// When the chunk was sent that was acknowledged last.
    moved: Instant,
    promise: Promise,
    failed: Option<BlobError>,
    left: Left,
    /// A chunk was sent of which it is not known whether it was stored, or will be.
    is_in_doubt: bool,
}

/// A chunk that was sent.
struct Unsettled {
    chunk: Chunk,
    since: Instant,
    /// `None` once it has ended.
    request: Option<JoinHandle<Sent>>,
}

/// What an upload leaves behind when it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Its copy, which is nobody's.
    Copy,
    /// Its copy, which may be the blob, or may become it: to be looked at by a sweep.
    InDoubt,
    /// A note about the blob.
    Note,
}

impl JetStreamUpload {
    /// Notes a copy.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        blob: BlobId,
        length: u64,
        promise: Promise,
    ) -> Result<Self, BlobError> {
        let copy = Copy { id: CopyId::random(), length, chunk: shared.bucket.chunk as u64 };
        let mut upload = Self {
            shared,
            blob,
            copy,
            note: 0,
            received: 0,
            filling: BytesMut::new(),
            hasher: Sha256::new(),
            next_chunk: 0,
            unsettled: VecDeque::new(),
            last_revision: 0,
            moved: Instant::now(),
            promise,
            failed: None,
            left: Left::Copy,
            is_in_doubt: false,
        };
        upload.note = upload.shared.bucket.note(copy.id, &upload.blob).await.inspect_err(|error| {
            upload.shared.jobs.note_room(*error == BlobError::Full);
        })?;
        Ok(upload)
    }

    fn check(&self) -> Result<(), BlobError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.shared.check_open()?;
        self.check_moving()
    }

    /// Refuses to go on with what a sweep may take for a leftover.
    fn check_moving(&self) -> Result<(), BlobError> {
        if self.moved.elapsed() >= self.shared.options.upload_idle {
            tracing::warn!(blob = %self.blob, "an upload stood still for too long and is given up");
            return Err(BlobError::Unavailable);
        }
        Ok(())
    }

    /// Hashes what was filled and sends it as a chunk. Stays failed when it is dropped in the middle.
    async fn send_filled(&mut self) -> Result<(), BlobError> {
        self.failed = Some(BlobError::Unavailable);
        let sent = self.send_filled_inner().await;
        self.failed = sent.err();
        sent
    }

    async fn send_filled_inner(&mut self) -> Result<(), BlobError> {
        let bytes = self.filling.split().freeze();
        let (number, digest) = (self.next_chunk, self.blob.digest);
        self.next_chunk += 1;
        let (mut hasher, hashed) = (std::mem::take(&mut self.hasher), bytes.clone());
        let job = move || {
            hasher.update(&hashed);
            Ok((hasher, block_sum(&digest, number, &hashed)))
        };
        let (hasher, sum) = self.shared.jobs.run(job).await?;
        self.hasher = hasher;
        while self.unsettled.len() >= WINDOW {
            self.settle().await?;
        }
        let chunk = Chunk { number, sum, bytes };
        let (shared, copy, sent) = (self.shared.clone(), self.copy.id, chunk.clone());
        let since = Instant::now();
        let mut request = Box::pin(async move { shared.bucket.send_chunk(copy, sent, false).await });
        // On its way before the next one, whichever task comes first.
        let polled = poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await;
        let request = async move {
            match polled {
                Poll::Ready(sent) => sent,
                Poll::Pending => request.await,
            }
        };
        let request = Some(self.shared.jobs.spawn(request));
        self.unsettled.push_back(Unsettled { chunk, since, request });
        Ok(())
    }

    /// Waits for the oldest request.
    async fn settle(&mut self) -> Result<(), BlobError> {
        let Some(oldest) = self.unsettled.front_mut() else { return Ok(()) };
        match oldest.ended().await {
            Sent::Stored(revision) if revision > self.last_revision => {
                let since = oldest.since;
                self.settled(revision, since);
                Ok(())
            }
            Sent::Full => Err(self.full()),
            // Not stored, or in front of one that comes before it.
            Sent::Unexpected | Sent::Stored(_) => self.send_again().await,
            Sent::Unknown(_) => {
                self.is_in_doubt = true;
                self.send_again().await
            }
        }
    }

    /// Sends everything again that is not settled, one after the other: the order in the stream is that of the chunks.
    async fn send_again(&mut self) -> Result<(), BlobError> {
        for unsettled in &mut self.unsettled {
            self.is_in_doubt |= matches!(unsettled.ended().await, Sent::Unknown(_));
        }
        let mut retry = self.shared.bucket.retry();
        while let Some(chunk) = self.unsettled.front().map(|unsettled| unsettled.chunk.clone()) {
            let since = Instant::now();
            let reason = match self.shared.bucket.send_chunk(self.copy.id, chunk, true).await {
                Sent::Stored(revision) => {
                    self.settled(revision, since);
                    retry = self.shared.bucket.retry();
                    continue;
                }
                Sent::Full => return Err(self.full()),
                Sent::Unexpected => "a chunk was refused".to_owned(),
                Sent::Unknown(reason) => {
                    self.is_in_doubt = true;
                    reason
                }
            };
            retry.pause(&reason).await?;
        }
        Ok(())
    }

    /// The oldest is stored, and was sent after `since`.
    fn settled(&mut self, revision: u64, since: Instant) {
        self.last_revision = revision;
        if let Some(unsettled) = self.unsettled.pop_front() {
            self.promise.keep(unsettled.chunk.bytes.len() as u64);
        }
        self.moved = since;
    }

    fn full(&self) -> BlobError {
        self.shared.jobs.note_room(true);
        BlobError::Full
    }

    /// Checks everything and makes the copy the blob.
    async fn finish(mut self: Box<Self>) -> Result<Committed, BlobError> {
        if self.received != self.copy.length {
            return Err(BlobError::LengthMismatch);
        }
        self.check()?;
        if !self.filling.is_empty() {
            self.send_filled().await?;
        }
        while !self.unsettled.is_empty() {
            self.settle().await?;
        }
        if Digest::from_bytes(std::mem::take(&mut self.hasher).finalize().into()) != self.blob.digest {
            return Err(BlobError::DigestMismatch);
        }
        self.check()?;
        let committed = self.publish().await?;
        self.shared.jobs.note_room(false);
        Ok(committed)
    }
}

impl Unsettled {
    /// Waits for the request. Asked again, it was not stored.
    async fn ended(&mut self) -> Sent {
        let Some(request) = &mut self.request else { return Sent::Unexpected };
        let sent = request.await.unwrap_or_else(|error| Sent::Unknown(error.to_string()));
        self.request = None;
        sent
    }
}

#[async_trait]
impl Upload for JetStreamUpload {
    async fn write(&mut self, mut part: Bytes) -> Result<(), BlobError> {
        self.check()?;
        self.received = self.received.saturating_add(part.len() as u64);
        if self.received > self.copy.length {
            return Err(BlobError::LengthMismatch);
        }
        let size = self.shared.bucket.chunk;
        while !part.is_empty() {
            let taken = part.split_to(part.len().min(size - self.filling.len()));
            self.filling.extend_from_slice(&taken);
            if self.filling.len() == size {
                self.send_filled().await?;
            }
        }
        Ok(())
    }

    /// In a task of its own: it happens whole or not at all, whether or not the caller waits.
    async fn commit(self: Box<Self>) -> Result<Committed, BlobError> {
        let shared = self.shared.clone();
        shared.jobs.spawn(self.finish()).await.unwrap_or(Err(BlobError::Unavailable))
    }
}

impl Drop for JetStreamUpload {
    /// Cleaning up asks the servers, so it goes on in a task. Without a runtime it is left to a sweep.
    fn drop(&mut self) {
        if Handle::try_current().is_err() || self.left == Left::InDoubt {
            return;
        }
        let (shared, copy, left) = (self.shared.clone(), self.copy.id, self.left);
        let (unsettled, mut is_in_doubt) = (std::mem::take(&mut self.unsettled), self.is_in_doubt);
        let clean_up = async move {
            for mut unsettled in unsettled {
                is_in_doubt |= matches!(unsettled.ended().await, Sent::Unknown(_));
            }
            match left {
                Left::Note => shared.bucket.forget_note(copy).await,
                // A chunk of which nothing is known may come yet: the note stays, for a sweep to find it.
                _ if is_in_doubt => drop(shared.bucket.remove_chunks(copy).await),
                _ => shared.bucket.discard(copy).await,
            }
        };
        drop(self.shared.jobs.spawn(clean_up));
    }
}
