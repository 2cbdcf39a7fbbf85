//! Recording files.

use room_protocol::{BlobDigest, RoomId};

use super::super::Inner;
use super::super::commit::Decision;
use super::super::keys::Key;
use super::super::messages::{FileMessage, StoredFile};
use crate::{BlobPut, BlobQuota, BlobRecord, Bound, StoreError};

/// Records a file if the quotas allow it.
pub(in crate::kv) async fn put(
    store: &Inner,
    room: RoomId,
    blob: BlobRecord,
    quota: BlobQuota,
) -> Result<BlobPut, StoreError> {
    let decide = |store: &Inner| {
        store.memory.view.room(&room).ok_or(StoreError::NotFound)?;
        store.memory.view.user(&blob.uploader).ok_or(StoreError::NotFound)?;
        let index = store.memory.index.read();
        if let Some(there) = index.file(&room, &blob.digest) {
            return Ok(Decision::Answer(Ok(BlobPut::Already(there))));
        }
        index.usage(&room, &blob.uploader).check(blob.size, &quota)?;
        if index.file_count() >= store.options.max_files {
            return Err(StoreError::Full(Bound::Files(store.options.max_files)));
        }
        let message = FileMessage { file: Some(StoredFile::from(&blob)) };
        Decision::write(Key::File(room, blob.digest), &message, BlobPut::Now(blob))
    };
    store.write(decide).await
}

/// Forgets a file; says whether it was there.
pub(in crate::kv) async fn remove(
    store: &Inner,
    room: RoomId,
    digest: BlobDigest,
) -> Result<bool, StoreError> {
    let decide = |store: &Inner| {
        store.memory.view.room(&room).ok_or(StoreError::NotFound)?;
        if store.memory.index.read().file(&room, &digest).is_none() {
            return Ok(Decision::Answer(Ok(false)));
        }
        Decision::write(Key::File(room, digest), &FileMessage { file: None }, true)
    };
    store.write(decide).await
}
