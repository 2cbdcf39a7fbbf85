//! Blobs in JetStream, replicated by nats-server: what one node stores, all nodes read.
//!
//! The bucket has the layout of the NATS object store, so that other NATS clients list and read what is in it:
//!
//! | subject | what |
//! |---|---|
//! | `$O.<bucket>.M.<name>` | a blob: its copy, length and digest; the name is `<space>/<digest>` in base64 |
//! | `$O.<bucket>.C.<copy>.<n>` | chunk `n` of a copy, with a checksum as a header; as an object it has the id `<copy>.*` |
//! | `$O.<bucket>.U.<copy>` | a note: this copy may belong to nobody |
//!
//! An upload notes its copy, stores the chunks and, when the digest matched, one message makes the copy the blob. That
//! message is stored only on top of the one that the upload had seen, so of two uploads of one blob each knows what the
//! other did. Whoever replaces or removes a blob notes the copy first that it is going to leave behind; in a bucket without
//! room for a note, whoever removes a blob removes its chunks first. So every copy that is not a blob has a note, and what a
//! killed process left is found by going through the notes.
//!
//! An upload that stands still for [`JetStreamOptions::upload_idle`] gives itself up, and a sweep leaves alone what has
//! moved since then. An upload that does not know that it stood still, since its whole machine did, finds its note changed
//! by the sweep, before and after it ends, and is not acknowledged.
//!
//! What decides is read from, and written to, the leader of the stream. Chunks never change and are read from whichever
//! server has them; where a read finds that its copy was replaced, it goes on with the new one.

mod bucket;
mod chunks;
mod download;
mod layout;
mod listing;
mod object;
mod open;
mod staged;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::jobs::{Jobs, Promise};
use crate::sweep::is_older;
use crate::{
    BlobError, BlobId, BlobInfo, BlobStore, Download, Expected, Found, Health, ReadRange, Space, Upload,
};
use bucket::{Bucket, Removed};
use download::JetStreamDownload;
use layout::CopyId;
use listing::Listing;
use object::Copy;
use upload::JetStreamUpload;

pub use open::JetStreamOpenError;

/// How many requests of one operation are under way together.
const AT_ONCE: usize = 16;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// The name of the bucket: 1 to 64 letters, digits, `_` or `-`. Stores of one bus have the same.
    pub bucket: String,
    /// How many servers keep the bucket, where it is made now. A bucket that exists stays as it is.
    pub replicas: usize,
    /// The most that the bucket may take, in bytes, where it is made now. `None` leaves it to the servers.
    pub max_bytes: Option<u64>,
    /// Blocking jobs (hashing) that run at once; more wait.
    pub jobs: usize,
    /// How long anything waits for the servers, the election of a new leader included, before it is
    /// [`BlobError::Unavailable`].
    pub patience: Duration,
    /// An upload that has not moved for so long is given up.
    pub upload_idle: Duration,
}

impl Default for JetStreamOptions {
    fn default() -> Self {
        Self {
            bucket: "UNIBUS_blobs".to_owned(),
            replicas: 1,
            max_bytes: None,
            jobs: 8,
            patience: Duration::from_secs(20),
            upload_idle: Duration::from_mins(15),
        }
    }
}

/// A [`BlobStore`] in JetStream, shared by the nodes of a cluster.
#[derive(Debug)]
pub struct JetStreamStore {
    shared: Arc<Shared>,
    listing: Listing,
}

/// What every part of a store shares.
#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    jobs: Arc<Jobs>,
    options: JetStreamOptions,
}

impl JetStreamStore {
    /// Opens the store, or makes it. The connection belongs to an account that nobody but the nodes may enter.
    pub async fn open(context: Context, options: JetStreamOptions) -> Result<Self, JetStreamOpenError> {
        let bucket = open::bucket(context, &options).await?;
        Ok(Self::of(bucket, options))
    }

    /// The store, unless there is no bucket of it. Makes nothing.
    pub async fn find(
        context: Context,
        options: JetStreamOptions,
    ) -> Result<Option<Self>, JetStreamOpenError> {
        if !open::exists(&context, &options).await? {
            return Ok(None);
        }
        Ok(Some(Self::open(context, options).await?))
    }

    fn of(bucket: Bucket, options: JetStreamOptions) -> Self {
        let jobs = Arc::new(Jobs::new(options.jobs));
        Self { shared: Arc::new(Shared { bucket, jobs, options }), listing: Listing::default() }
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), BlobError> {
        if self.jobs.is_closed() { Err(BlobError::Unavailable) } else { Ok(()) }
    }

    /// The copy that is a blob now.
    async fn copy(&self, blob: &BlobId) -> Result<Copy, BlobError> {
        match self.bucket.object(blob).await?.map(|object| object.copy) {
            None | Some(None) => Err(BlobError::NotFound),
            Some(Some(Ok(copy))) => Ok(copy),
            Some(Some(Err(damage))) => Err(self.damaged(blob, &damage)),
        }
    }

    /// Removes a blob that was not committed within `age`; says whether it was there.
    ///
    /// Every commit makes another revision, and what is deleted is a revision: one that is committed meanwhile stays.
    async fn remove(&self, blob: &BlobId, age: Duration) -> Result<bool, BlobError> {
        let mut was_tried = false;
        let mut retry = self.bucket.retry();
        loop {
            let Some(object) = self.bucket.object(blob).await? else { return Ok(was_tried) };
            if !is_older(object.stored, age) {
                return Ok(false);
            }
            let copy = match &object.copy {
                Some(Ok(copy)) => Some(copy.id),
                Some(Err(_)) | None => None,
            };
            if let Some(copy) = copy {
                self.prepare_to_leave(copy, blob).await?;
            }
            match self.bucket.delete(object.revision).await {
                Removed::Done => {
                    if let Some(copy) = copy {
                        self.bucket.discard(copy).await;
                    }
                    return Ok(was_tried || object.copy.is_some());
                }
                Removed::Unknown(reason) => {
                    was_tried = true;
                    retry.pause(&reason).await?;
                }
            }
        }
    }

    /// Notes a copy that is not going to be a blob any more, so that its chunks are found whatever happens.
    ///
    /// Whoever makes room must not need any: where a note does not fit, the chunks go first. Cut off behind that, the blob is
    /// damaged, but it is listed, and whoever wanted it gone removes it again.
    async fn prepare_to_leave(&self, copy: CopyId, blob: &BlobId) -> Result<(), BlobError> {
        match self.bucket.note(copy, blob).await {
            Ok(_) => Ok(()),
            Err(BlobError::Full) if self.bucket.remove_chunks(copy).await => Ok(()),
            Err(BlobError::Full) => Err(BlobError::Unavailable),
            Err(error) => Err(error),
        }
    }

    /// Logs what was found, and counts it.
    fn damaged(&self, blob: &BlobId, damage: &object::Damage) -> BlobError {
        tracing::error!(%blob, %damage, "a stored file is damaged");
        self.jobs.found_damage();
        BlobError::Damaged
    }
}

#[async_trait]
impl BlobStore for JetStreamStore {
    async fn begin(&self, blob: &BlobId, expected: Expected) -> Result<Box<dyn Upload>, BlobError> {
        self.shared.check_open()?;
        let needed = self.shared.bucket.needed(expected.length);
        // Counted before the bucket is asked, so that of two uploads at least one sees the other.
        let promise = Promise::new(self.shared.jobs.clone(), needed);
        let promised = self.shared.jobs.promised.load(std::sync::atomic::Ordering::Relaxed);
        if let Some(room) = self.shared.bucket.room().await?
            && room < promised
        {
            tracing::warn!(room, promised, "no room for an upload");
            self.shared.jobs.note_room(true);
            return Err(BlobError::Full);
        }
        Ok(Box::new(
            JetStreamUpload::begin(self.shared.clone(), blob.clone(), expected.length, promise).await?,
        ))
    }

    async fn stat(&self, blob: &BlobId) -> Result<BlobInfo, BlobError> {
        self.shared.check_open()?;
        Ok(BlobInfo { length: self.shared.copy(blob).await?.length })
    }

    async fn read(&self, blob: &BlobId, range: ReadRange) -> Result<Box<dyn Download>, BlobError> {
        self.shared.check_open()?;
        let copy = self.shared.copy(blob).await?;
        Ok(Box::new(JetStreamDownload::new(self.shared.clone(), blob.clone(), copy, range)?))
    }

    async fn remove(&self, blob: &BlobId) -> Result<bool, BlobError> {
        self.shared.check_open()?;
        self.shared.remove(blob, Duration::ZERO).await
    }

    async fn remove_older(&self, blob: &BlobId, age: Duration) -> Result<bool, BlobError> {
        self.shared.check_open()?;
        self.shared.remove(blob, age).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn remove_space(&self, space: &Space) -> Result<(), BlobError> {
        self.shared.check_open()?;
        let blobs = self.shared.bucket.blobs().await?;
        let of_space = blobs.into_iter().filter(|blob| blob.space == *space);
        stream::iter(of_space)
            .map(|blob| async move { self.shared.remove(&blob, Duration::ZERO).await })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<Vec<Found>, BlobError> {
        self.shared.check_open()?;
        self.listing.page(&self.shared.bucket, after, limit).await
    }

    async fn sweep_staged(&self, age: Duration) -> Result<usize, BlobError> {
        self.shared.check_open()?;
        staged::sweep(&self.shared, age).await
    }

    fn health(&self) -> Health {
        self.shared.jobs.health()
    }

    async fn close(&self) {
        self.shared.jobs.close().await;
    }
}
