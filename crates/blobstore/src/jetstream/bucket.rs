//! Requests to the stream of a bucket, each sent again until it is answered or patience ends.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::time::Instant;

use super::layout::{self, CopyId, Names};
use super::object::{Copy, Damage, Note};
use crate::{BlobError, BlobId};

/// Bytes of a chunk, where the server takes as much: what other NATS clients use.
pub(super) const LARGEST_CHUNK: usize = 128 << 10;
/// What the protocol and our headers add to a chunk, at most.
pub(super) const HEADER_BYTES: usize = 1_024;
/// What storing a message takes besides its payload, about.
const STORED_OVERHEAD: u64 = 256;

const ROLLUP: (&str, &str) = ("Nats-Rollup", "sub");
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// A bucket.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) names: Names,
    pub(super) client: Client,
    pub(super) stream: Stream<()>,
    /// Bytes of the chunks that are written.
    pub(super) chunk: usize,
    /// How long one request waits to be answered.
    pub(super) attempt: Duration,
    pub(super) patience: Duration,
}

/// What must be so for a message to be stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    /// Nothing is there yet.
    First,
    /// This is the last revision of the subject, 0 for none; it is replaced.
    Replaces(u64),
    /// Anything may be; it is replaced.
    Anything,
}

/// How sending ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is stored, at this revision.
    Stored(u64),
    /// It is not stored: what was expected is not so.
    Unexpected,
    /// It is not stored: there is no room.
    Full,
    /// It may be stored, or may be stored yet.
    Unknown(String),
}

/// How removing a message ended.
#[derive(Debug)]
pub(super) enum Removed {
    /// It was there, and is gone.
    Done,
    /// It may be gone, or may go yet.
    Unknown(String),
}

/// What is stored about a blob.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) revision: u64,
    pub(super) stored: SystemTime,
    /// `None` when it was deleted by another client.
    pub(super) copy: Option<Result<Copy, Damage>>,
}

/// A note about a copy.
#[derive(Debug)]
pub(super) struct FoundNote {
    pub(super) stored: SystemTime,
    /// `None` when it cannot be read.
    pub(super) blob: Option<BlobId>,
}

/// Pauses between attempts, until patience ends.
pub(super) struct Retry {
    deadline: Instant,
    pause: Duration,
}

impl Retry {
    /// Waits a little; [`BlobError::Unavailable`] when there is no time left.
    pub(super) async fn pause(&mut self, reason: &(dyn Display + Sync)) -> Result<(), BlobError> {
        if Instant::now() + self.pause > self.deadline {
            tracing::error!(%reason, "the file store does not answer");
            return Err(BlobError::Unavailable);
        }
        tracing::debug!(%reason, "a request to the file store is sent again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(400));
        Ok(())
    }
}

/// Writing.
impl Bucket {
    pub(super) fn retry(&self) -> Retry {
        Retry { deadline: Instant::now() + self.patience, pause: Duration::from_millis(25) }
    }

    /// Sends one message and waits for its acknowledgement, once.
    pub(super) async fn send(
        &self,
        subject: String,
        value: Bytes,
        expect: Expect,
        header: Option<(&'static str, String)>,
    ) -> Sent {
        let mut headers = HeaderMap::new();
        match expect {
            Expect::First => headers.insert(EXPECTED, "0"),
            Expect::Anything => headers.insert(ROLLUP.0, ROLLUP.1),
            Expect::Replaces(revision) => {
                headers.insert(ROLLUP.0, ROLLUP.1);
                headers.insert(EXPECTED, revision.to_string());
            }
        }
        if let Some((name, value)) = header {
            headers.insert(name, value);
        }
        let request = Request::new().payload(value).headers(headers).timeout(Some(self.attempt));
        let answer = match self.client.send_request(subject, request).await {
            Ok(answer) => answer,
            Err(error) => return Sent::Unknown(error.to_string()),
        };
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            // A refusal that is not understood has a sequence, too: 0.
            Ok(Response::Ok(stored)) if stored.sequence > 0 => Sent::Stored(stored.sequence),
            Ok(Response::Err { error }) => refused(&error),
            _ => Sent::Unknown("the answer is no acknowledgement".to_owned()),
        }
    }

    /// Notes that a copy may belong to nobody; answers the note's revision.
    pub(super) async fn note(&self, copy: CopyId, blob: &BlobId) -> Result<u64, BlobError> {
        let note = Note { name: blob.to_string() };
        let value = Bytes::from(serde_json::to_vec(&note).map_err(|_| BlobError::Unavailable)?);
        let mut retry = self.retry();
        loop {
            match self.send(self.names.note(copy), value.clone(), Expect::Anything, None).await {
                Sent::Stored(revision) => return Ok(revision),
                Sent::Full => return Err(BlobError::Full),
                Sent::Unexpected => retry.pause(&"a note was refused").await?,
                Sent::Unknown(reason) => retry.pause(&reason).await?,
            }
        }
    }

    /// Removes the message of a revision.
    pub(super) async fn delete(&self, revision: u64) -> Removed {
        match self.stream.delete_message(revision).await {
            Ok(true) => Removed::Done,
            Ok(false) => Removed::Unknown("it was not deleted".to_owned()),
            Err(error) => Removed::Unknown(error.to_string()),
        }
    }

    /// Removes the chunks of a copy that is no blob, and its note after them. What fails here is left to a sweep.
    pub(super) async fn discard(&self, copy: CopyId) {
        if self.remove_chunks(copy).await {
            self.forget_note(copy).await;
        }
    }

    /// Removes the chunks of a copy; says whether that was done.
    pub(super) async fn remove_chunks(&self, copy: CopyId) -> bool {
        self.purge(self.names.chunks(copy)).await
    }

    /// Removes a note.
    pub(super) async fn forget_note(&self, copy: CopyId) {
        self.purge(self.names.note(copy)).await;
    }

    async fn purge(&self, filter: String) -> bool {
        let mut retry = self.retry();
        loop {
            match self.stream.purge().filter(filter.as_str()).await {
                Ok(_) => return true,
                Err(error) => {
                    if retry.pause(&error).await.is_err() {
                        return false;
                    }
                }
            }
        }
    }
}

/// Reading, from the leader.
impl Bucket {
    /// What is stored about a blob.
    pub(super) async fn object(&self, blob: &BlobId) -> Result<Option<Object>, BlobError> {
        let found = self.last(&self.names.object(blob)).await?;
        Ok(found.map(|(revision, stored, payload)| Object {
            revision,
            stored,
            copy: Copy::read(&payload, blob),
        }))
    }

    /// The note about a copy.
    pub(super) async fn noted(&self, copy: CopyId) -> Result<Option<FoundNote>, BlobError> {
        let found = self.last(&self.names.note(copy)).await?;
        Ok(found.map(|(_, stored, payload)| {
            let note = serde_json::from_slice::<Note>(&payload);
            FoundNote { stored, blob: note.ok().and_then(|note| layout::blob(&note.name)) }
        }))
    }

    /// Whether a note is still the one of this revision.
    pub(super) async fn is_noted(&self, copy: CopyId, revision: u64) -> Result<bool, BlobError> {
        let found = self.last(&self.names.note(copy)).await?;
        Ok(found.is_some_and(|(found, ..)| found == revision))
    }

    /// When the last chunk of a copy was stored.
    pub(super) async fn moved(&self, copy: CopyId) -> Result<Option<SystemTime>, BlobError> {
        Ok(self.last(&self.names.chunks(copy)).await?.map(|(_, stored, _)| stored))
    }

    /// The blobs there are, in order. A name may be that of an object that was deleted.
    pub(super) async fn blobs(&self) -> Result<Vec<BlobId>, BlobError> {
        let subjects = self.subjects(self.names.objects()).await?;
        let mut blobs: Vec<BlobId> =
            subjects.iter().filter_map(|subject| self.names.blob_of(subject)).collect();
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// The copies that there are notes about.
    pub(super) async fn noted_copies(&self) -> Result<Vec<CopyId>, BlobError> {
        let subjects = self.subjects(self.names.notes()).await?;
        Ok(subjects.iter().filter_map(|subject| self.names.copy_of_note(subject)).collect())
    }

    /// How many bytes the bucket still takes, if it is bounded.
    pub(super) async fn room(&self) -> Result<Option<u64>, BlobError> {
        let mut retry = self.retry();
        loop {
            match self.stream.get_info().await {
                Ok(info) => {
                    let limit = u64::try_from(info.config.max_bytes).ok().filter(|limit| *limit > 0);
                    return Ok(limit.map(|limit| limit.saturating_sub(info.state.bytes)));
                }
                Err(error) => retry.pause(&error).await?,
            }
        }
    }

    /// How much a blob takes.
    pub(super) fn needed(&self, length: u64) -> u64 {
        let messages = length.div_ceil(self.chunk as u64).saturating_add(2);
        length.saturating_add(messages.saturating_mul(STORED_OVERHEAD))
    }

    async fn last(&self, subject: &str) -> Result<Option<(u64, SystemTime, Bytes)>, BlobError> {
        let mut retry = self.retry();
        loop {
            match self.stream.get_last_raw_message_by_subject(subject).await {
                Ok(found) => return Ok(Some((found.sequence, SystemTime::from(found.time), found.payload))),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(None),
                Err(error) => retry.pause(&error).await?,
            }
        }
    }

    async fn subjects(&self, filter: String) -> Result<Vec<String>, BlobError> {
        let mut retry = self.retry();
        loop {
            let listed = async {
                let listing = self.stream.info_with_subjects(&filter).await?;
                listing.map_ok(|(subject, _)| subject).try_collect().await
            };
            match listed.await {
                Ok(subjects) => return Ok(subjects),
                Err(error) => {
                    let error: async_nats::jetstream::stream::InfoError = error;
                    retry.pause(&error).await?;
                }
            }
        }
    }
}

fn refused(error: &jetstream::Error) -> Sent {
    let text = error.to_string();
    match error.error_code() {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            Sent::Unexpected
        }
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => full(&text),
        // "maximum bytes exceeded" of a limit, "no space left on device" of a disk.
        ErrorCode::STREAM_STORE_FAILED if text.contains("maximum") || text.contains("no space") => {
            full(&text)
        }
        _ => Sent::Unknown(text),
    }
}

fn full(text: &str) -> Sent {
    tracing::warn!(error = text, "no room for an upload");
    Sent::Full
}
