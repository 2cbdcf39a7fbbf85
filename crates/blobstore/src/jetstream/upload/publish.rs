//! The end of an upload: one message makes its copy the blob, on top of the one that was seen there.
//!
//! A sweep on another node may take the copy for a leftover, however sure an upload is that it has not stood still: the
//! clock of a machine that is paused stands still, too. So the two watch each other. The sweep notes the copy anew, and
//! looks *after* that whether it is the blob; whoever uploads asks for its own note before the message that counts and
//! *after* it. Whichever way they meet, one of them sees the other: no copy is acknowledged whose chunks are gone.

use bytes::Bytes;

use super::{JetStreamUpload, Left};
use crate::jetstream::bucket::{Bucket, Expect, Removed, Sent};
use crate::jetstream::layout::CopyId;
use crate::jetstream::object::Copy;
use crate::{BlobError, BlobId, Committed};

impl JetStreamUpload {
    /// Makes the copy the blob.
    pub(super) async fn publish(&mut self) -> Result<Committed, BlobError> {
        let bucket = self.shared.bucket.clone();
        let description = self.describe(&self.copy)?;
        let mut retry = bucket.retry();
        let mut before = look(&bucket, &self.blob).await?;
        loop {
            if let Seen::Copy { copy, .. } = &before {
                bucket.note(copy.id, &self.blob).await?;
            }
            self.check_not_swept().await?;
            let subject = bucket.names.object(&self.blob);
            let expect = Expect::Replaces(before.revision());
            let reason = match bucket.send(subject, description.clone(), expect, None).await {
                Sent::Stored(revision) => return self.published(revision, &before).await,
                Sent::Full => return Err(self.full()),
                Sent::Unexpected => "another upload of it ended at the same time".to_owned(),
                Sent::Unknown(reason) => {
                    self.left = Left::InDoubt;
                    reason
                }
            };
            retry.pause(&reason).await?;
            let now = look(&bucket, &self.blob).await?;
            if let Some(committed) = self.after_doubt(&before, &now).await? {
                return Ok(committed);
            }
            before = now;
        }
    }

    fn describe(&self, copy: &Copy) -> Result<Bytes, BlobError> {
        let description = copy.describe(&self.shared.bucket.names, &self.blob);
        Ok(Bytes::from(description.map_err(|_| BlobError::Unavailable)?))
    }

    /// Refuses to make a blob of a copy that a sweep has taken, or may be about to take. Also of one that was the blob
    /// already, unknown to us, and was removed since.
    async fn check_not_swept(&self) -> Result<(), BlobError> {
        self.check_moving()?;
        if self.shared.bucket.is_noted(self.copy.id, self.note).await? {
            return Ok(());
        }
        tracing::warn!(blob = %self.blob, "the pieces of an upload were removed before it ended");
        Err(BlobError::Unavailable)
    }

    /// What has become of a message of which it was not known whether it was stored; `None` when it has to be sent again.
    async fn after_doubt(&mut self, before: &Seen, now: &Seen) -> Result<Option<Committed>, BlobError> {
        // Whoever replaced it noted it, too, and may have been done before this note came.
        if let Seen::Copy { copy, .. } = before
            && now.revision() != before.revision()
        {
            self.discard(copy.id);
        }
        match now {
            // Its acknowledgement was lost.
            Seen::Copy { copy, revision } if copy.id == self.copy.id => {
                self.published(*revision, before).await.map(Some)
            }
            // Somebody else stored the very same bytes since, whole. Was it on top of ours, ours is noted by them.
            Seen::Copy { revision, .. } if *revision != before.revision() => Ok(Some(Committed::Again)),
            _ => Ok(None),
        }
    }

    /// Removes a copy that is the blob no more, beside everything else.
    fn discard(&self, copy: CopyId) {
        let shared = self.shared.clone();
        drop(self.shared.jobs.spawn(async move { shared.bucket.discard(copy).await }));
    }

    /// The copy is the blob now, at this revision. The one before goes.
    async fn published(&mut self, revision: u64, before: &Seen) -> Result<Committed, BlobError> {
        self.left = Left::InDoubt;
        if !self.is_whole(revision).await? {
            self.take_back(revision, before).await;
            return Err(BlobError::Unavailable);
        }
        self.left = Left::Note;
        if let Seen::Copy { copy, .. } = before {
            self.discard(copy.id);
        }
        Ok(if matches!(before, Seen::Nothing { .. }) { Committed::New } else { Committed::Again })
    }

    /// Whether no sweep has taken the chunks before the copy became the blob.
    async fn is_whole(&self, revision: u64) -> Result<bool, BlobError> {
        let bucket = &self.shared.bucket;
        let mut retry = bucket.retry();
        while !bucket.is_noted(self.copy.id, self.note).await? {
            // Somebody else has noted the copy since: a sweep, or whoever replaces or removes the blob. Their work is over
            // when the blob is another, or the note is gone.
            if look(bucket, &self.blob).await?.revision() != revision {
                return Ok(true);
            }
            if bucket.noted(self.copy.id).await?.is_none() {
                return Ok(self.copy.length == 0 || bucket.moved(self.copy.id).await?.is_some());
            }
            retry.pause(&"somebody else is at work on the file").await?;
        }
        Ok(true)
    }

    /// The copy has no chunks: whatever was there before is the blob again.
    async fn take_back(&self, revision: u64, before: &Seen) {
        tracing::warn!(blob = %self.blob, "the pieces of an upload were removed while it ended");
        let bucket = &self.shared.bucket;
        let is_taken_back = match before {
            Seen::Copy { copy, .. } => match self.describe(copy) {
                Ok(description) => {
                    let subject = bucket.names.object(&self.blob);
                    let sent = bucket.send(subject, description, Expect::Replaces(revision), None).await;
                    matches!(sent, Sent::Stored(_) | Sent::Unexpected)
                }
                Err(_) => false,
            },
            Seen::Nothing { .. } | Seen::Damaged { .. } => {
                matches!(bucket.delete(revision).await, Removed::Done)
            }
        };
        if !is_taken_back {
            tracing::error!(blob = %self.blob, "a file without content is left; storing it again repairs it");
        }
    }
}

/// What a commit finds in the place of the blob.
enum Seen {
    Nothing { revision: u64 },
    Damaged { revision: u64 },
    Copy { revision: u64, copy: Copy },
}

impl Seen {
    fn revision(&self) -> u64 {
        match self {
            Self::Nothing { revision } | Self::Damaged { revision } | Self::Copy { revision, .. } => {
                *revision
            }
        }
    }
}

async fn look(bucket: &Bucket, blob: &BlobId) -> Result<Seen, BlobError> {
    let Some(object) = bucket.object(blob).await? else { return Ok(Seen::Nothing { revision: 0 }) };
    let revision = object.revision;
    Ok(match object.copy {
        Some(Ok(copy)) => Seen::Copy { revision, copy },
        // What cannot be read is replaced, too.
        Some(Err(_)) => Seen::Damaged { revision },
        None => Seen::Nothing { revision },
    })
}
