//! Reading the records of files.

use busauth::UserId;
use room_protocol::{BlobDigest, RoomId};
use sqlx::{Executor, Sqlite};

use super::rows;
use crate::sqlite::errors::damaged;
use crate::{BlobRecord, BlobUsage, Listing, Page, StoreError};

type Row = (String, i64, String, i64);

/// One file of a room.
pub(in crate::sqlite) async fn one(
    reader: impl Executor<'_, Database = Sqlite>,
    room: &RoomId,
    digest: &BlobDigest,
) -> Result<BlobRecord, StoreError> {
    let sql = "SELECT digest, size, users.id, at FROM blobs JOIN users ON users.key = blobs.user
        WHERE room = (SELECT key FROM rooms WHERE id = ?) AND digest = ?";
    let row: Option<Row> =
        sqlx::query_as(sql).bind(room.to_string()).bind(digest.to_string()).fetch_optional(reader).await?;
    record(row.ok_or(StoreError::NotFound)?)
}

/// Files of a room, by digest.
pub(in crate::sqlite) async fn page(
    reader: impl Executor<'_, Database = Sqlite>,
    room: &RoomId,
    page: &Page<BlobDigest>,
) -> Result<Listing<BlobRecord, BlobDigest>, StoreError> {
    let after = page.after.map_or_else(String::new, |digest| digest.to_string());
    let sql = "SELECT digest, size, users.id, at FROM blobs JOIN users ON users.key = blobs.user
        WHERE room = (SELECT key FROM rooms WHERE id = ?) AND digest > ? ORDER BY digest LIMIT ?";
    let found: Vec<Row> =
        sqlx::query_as(sql).bind(room.to_string()).bind(after).bind(rows(page)).fetch_all(reader).await?;
    let blobs = found.into_iter().map(record).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Listing::cut(blobs, page.size(), |blob| blob.digest))
}

/// How many bytes there are in a room, and of a user.
pub(in crate::sqlite) async fn usage(
    reader: impl Executor<'_, Database = Sqlite>,
    room: &RoomId,
    user: &UserId,
) -> Result<BlobUsage, StoreError> {
    let sql = "SELECT
        (SELECT coalesce(sum(size), 0) FROM blobs WHERE room = (SELECT key FROM rooms WHERE id = ?)),
        (SELECT coalesce(sum(size), 0) FROM blobs WHERE user = (SELECT key FROM users WHERE id = ?))";
    let (room, user): (i64, i64) =
        sqlx::query_as(sql).bind(room.to_string()).bind(user.to_string()).fetch_one(reader).await?;
    Ok(BlobUsage { room_bytes: room.cast_unsigned(), user_bytes: user.cast_unsigned() })
}

fn record((digest, size, uploader, at): Row) -> Result<BlobRecord, StoreError> {
    Ok(BlobRecord {
        digest: digest.parse().map_err(|error| damaged(&error))?,
        size: size.cast_unsigned(),
        uploader: uploader.parse().map_err(|error| damaged(&error))?,
        at: at.cast_unsigned(),
    })
}
