//! Recording files.

use std::sync::Arc;

use room_protocol::{BlobDigest, RoomId};

use super::{Inner, rooms};
use crate::sqlite::{errors::damaged, read};
use crate::{BlobPut, BlobQuota, BlobRecord, StoreError};

/// Records a file if the quotas allow it.
pub(in crate::sqlite) async fn put(
    store: Arc<Inner>,
    room: RoomId,
    blob: BlobRecord,
    quota: BlobQuota,
) -> Result<BlobPut, StoreError> {
    let turn = store.writer.turn().await?;
    store.view.room(&room).ok_or(StoreError::NotFound)?;
    store.view.user(&blob.uploader).ok_or(StoreError::NotFound)?;
    let mut transaction = turn.begin().await?;
    let connection = transaction.connection();
    match read::blobs::one(&mut *connection, &room, &blob.digest).await {
        Ok(there) => {
            transaction.commit().await?;
            return Ok(BlobPut::Already(there));
        }
        Err(StoreError::NotFound) => {}
        Err(error) => return Err(error),
    }
    let usage = read::blobs::usage(&mut *connection, &room, &blob.uploader).await?;
    if let Err(conflict) = usage.check(blob.size, &quota) {
        transaction.commit().await?;
        return Err(conflict.into());
    }
    let key = rooms::key(connection, &room).await?;
    let size = i64::try_from(blob.size).map_err(|error| damaged(&error))?;
    sqlx::query(
        "INSERT INTO blobs (room, digest, user, size, at)
            VALUES (?, ?, (SELECT key FROM users WHERE id = ?), ?, ?)",
    )
    .bind(key)
    .bind(blob.digest.to_string())
    .bind(blob.uploader.to_string())
    .bind(size)
    .bind(blob.at.cast_signed())
    .execute(transaction.connection())
    .await?;
    transaction.commit().await?;
    Ok(BlobPut::Now(blob))
}

/// Forgets a file; says whether it was there.
pub(in crate::sqlite) async fn remove(
    store: Arc<Inner>,
    room: RoomId,
    digest: BlobDigest,
) -> Result<bool, StoreError> {
    let turn = store.writer.turn().await?;
    store.view.room(&room).ok_or(StoreError::NotFound)?;
    let mut transaction = turn.begin().await?;
    let sql = "DELETE FROM blobs WHERE room = (SELECT key FROM rooms WHERE id = ?) AND digest = ?";
    let done = sqlx::query(sql)
        .bind(room.to_string())
        .bind(digest.to_string())
        .execute(transaction.connection())
        .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}
