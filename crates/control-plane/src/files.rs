//! The files of rooms: bytes in the blob store, references to them in the membership store, and what keeps both in step.
//!
//! A file is stored first and recorded then; it is forgotten first and deleted then. What a crash leaves in between is a
//! blob without a record, which the sweep removes. Whoever changes record and blob of one file holds its lock, so that no
//! blob is removed between an upload's commit and its record. Other nodes of a cluster do not see that lock: there, nothing is
//! removed that was committed a short time ago, since its record may be on its way, and the sweep looks again.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use blobstore::{BlobError, BlobId, BlobStore, Digest, Keeper, Space, Swept};
use busauth::UserId;
use control_api::ProblemCode;
use membership_store::StoreError;
use parking_lot::Mutex;
use room_protocol::{BlobDigest, RoomId};

use crate::{
    ControlPlane,
    problem::{Refusal, Result},
};

/// Files share this many locks.
const LOCKS: usize = 64;

/// When a file that was committed has its record on every node, or will not get one: longer than any node may be behind.
const RECORDED: Duration = Duration::from_hours(1);

/// The blob store and the locks of its files.
pub(crate) struct Files {
    store: Arc<dyn BlobStore>,
    locks: [tokio::sync::Mutex<()>; LOCKS],
    lock_of: RandomState,
    uploads: Mutex<HashMap<UserId, u64>>,
}

/// Held while record and blob of a file are changed.
pub(crate) type FileLock<'a> = tokio::sync::MutexGuard<'a, ()>;

/// One of the uploads that a user may have under way.
pub(crate) struct UploadPlace {
    files: Arc<Files>,
    user: UserId,
}

impl Drop for UploadPlace {
    fn drop(&mut self) {
        let mut uploads = self.files.uploads.lock();
        if let Some(count) = uploads.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                uploads.remove(&self.user);
            }
        }
    }
}

impl Files {
    pub(crate) fn new(store: Arc<dyn BlobStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            locks: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            lock_of: RandomState::new(),
            uploads: Mutex::default(),
        })
    }

    pub(crate) fn store(&self) -> &dyn BlobStore {
        &*self.store
    }

    /// The lock of a file.
    pub(crate) async fn lock(&self, blob: &BlobId) -> FileLock<'_> {
        let number = self.lock_of.hash_one(blob) % LOCKS as u64;
        self.locks[usize::try_from(number).unwrap_or(0)].lock().await
    }

    /// Counts an upload of a user.
    pub(crate) fn place(self: &Arc<Self>, user: UserId, at_once: u64) -> Result<UploadPlace> {
        let mut uploads = self.uploads.lock();
        let count = uploads.entry(user).or_default();
        if *count >= at_once {
            let detail = format!("{at_once} files may be sent at once: wait until one of them is through");
            return Err(Refusal::new(ProblemCode::TooManyUploads, detail).retry_after(1));
        }
        *count += 1;
        Ok(UploadPlace { files: self.clone(), user })
    }

    /// Deletes all files of a room whose records are gone. What fails here is left to the sweep.
    pub(crate) async fn remove_room(&self, room: &RoomId) {
        if let Err(error) = self.store.remove_space(&space(room)).await {
            tracing::warn!(%room, %error, "the files of a deleted room are left to the sweep");
        }
    }

    /// Deletes a blob that has no record. The caller holds its lock.
    pub(crate) async fn remove(&self, blob: &BlobId, _lock: &FileLock<'_>) {
        let age = if self.store.is_shared() { RECORDED } else { Duration::ZERO };
        if let Err(error) = self.store.remove_older(blob, age).await {
            tracing::warn!(%blob, %error, "a deleted file is left to the sweep");
        }
    }
}

fn space(room: &RoomId) -> Space {
    // 26 characters of base32.
    room.to_string().parse().expect("a room id names a space")
}

/// A file of a room as the blob store knows it.
pub(crate) fn blob_id(room: &RoomId, digest: &BlobDigest) -> BlobId {
    space(room).blob(Digest::from_bytes(*digest.as_bytes()))
}

impl ControlPlane {
    /// The files, on a bus that keeps any.
    pub(crate) fn files(&self) -> Result<&Arc<Files>> {
        self.files.as_ref().ok_or_else(|| Refusal::new(ProblemCode::NotFound, "this bus keeps no files"))
    }

    /// Removes files without a record that are older than `grace`, and what uploads left behind.
    pub async fn sweep_files(&self, grace: Duration) -> std::result::Result<Swept, BlobError> {
        match &self.files {
            Some(files) => blobstore::sweep(files.store(), self, grace).await,
            None => Ok(Swept::default()),
        }
    }
}

#[async_trait]
impl Keeper for ControlPlane {
    async fn remove_unreferenced(
        &self,
        blob: &BlobId,
        grace: Duration,
    ) -> std::result::Result<bool, BlobError> {
        let (Some(files), Ok(room)) = (&self.files, blob.space.as_str().parse::<RoomId>()) else {
            return Ok(false);
        };
        let _lock = files.lock(blob).await;
        let digest = BlobDigest::from_bytes(*blob.digest.as_bytes());
        match self.store().blob(&room, &digest).await {
            Ok(_) => Ok(false),
            Err(StoreError::NotFound) => files.store().remove_older(blob, grace).await,
            // Whether it is referred to is not known now.
            Err(_) => Err(BlobError::Unavailable),
        }
    }
}
