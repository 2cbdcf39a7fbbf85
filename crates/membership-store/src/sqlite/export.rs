//! What only a move to another backend reads: everything that no question of the trait leads to.

use busauth::UserId;
use room_protocol::{RoomId, SealedKey};
use sqlx::SqlitePool;

use super::errors::damaged;
use super::write::FIRST_START;
use crate::migrate::Counts;
use crate::{NewAuditEntry, StoreError};

/// How much there is of everything.
pub(super) async fn counts(readers: &SqlitePool) -> Result<Counts, StoreError> {
    let sql = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM rooms),
        (SELECT count(*) FROM room_log), (SELECT count(*) FROM sealed_keys), (SELECT count(*) FROM blobs),
        (SELECT count(*) FROM tombstones), (SELECT count(*) FROM audit)";
    let (users, rooms, entries, keys, files, deleted, audit): (i64, i64, i64, i64, i64, i64, i64) =
        sqlx::query_as(sql).fetch_one(readers).await?;
    let count = i64::cast_unsigned;
    Ok(Counts {
        users: count(users),
        rooms: count(rooms),
        entries: count(entries),
        keys: count(keys),
        files: count(files),
        deleted: count(deleted),
        audit: count(audit),
    })
}

/// Deleted rooms by id: at most `limit` behind `after`.
pub(super) async fn deleted_rooms(
    readers: &SqlitePool,
    after: Option<RoomId>,
    limit: usize,
) -> Result<Vec<RoomId>, StoreError> {
    let after = after.map_or_else(String::new, |id| id.to_string());
    let sql = "SELECT id FROM tombstones WHERE id > ? ORDER BY id LIMIT ?";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids: Vec<String> = sqlx::query_scalar(sql).bind(after).bind(limit).fetch_all(readers).await?;
    ids.iter().map(|id| id.parse().map_err(|error| damaged(&error))).collect()
}

/// All keys of a room, by recipient and epoch.
pub(super) async fn keys_of_room(
    readers: &SqlitePool,
    room: &RoomId,
) -> Result<Vec<(UserId, u64, SealedKey)>, StoreError> {
    let sql = "SELECT users.id, epoch, sealed FROM sealed_keys JOIN users ON users.key = sealed_keys.user
        WHERE room = (SELECT key FROM rooms WHERE id = ?) ORDER BY users.id, epoch";
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as(sql).bind(room.to_string()).fetch_all(readers).await?;
    let key = |(user, epoch, sealed): (String, i64, String)| {
        let user = user.parse().map_err(|error| damaged(&error))?;
        let sealed = sealed.parse().map_err(|error| damaged(&error))?;
        Ok((user, epoch.cast_unsigned(), sealed))
    };
    rows.into_iter().map(key).collect()
}

/// Audit records in the order in which they were written: at most `limit` behind the first `skip`.
pub(super) async fn audit(
    readers: &SqlitePool,
    skip: u64,
    limit: usize,
) -> Result<Vec<NewAuditEntry>, StoreError> {
    type Row = (i64, String, String, Option<String>, Option<String>);
    let sql = "SELECT at, actor, action, target, detail FROM audit ORDER BY seq LIMIT ? OFFSET ?";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(i64::try_from(skip).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    let entry = |(at, actor, action, target, detail): Row| {
        let actor = actor.parse().map_err(|error| damaged(&error))?;
        Ok(NewAuditEntry { at: at.cast_unsigned(), actor, action, target, detail })
    };
    rows.into_iter().map(entry).collect()
}

/// When the bus was set up, if that was marked.
pub(super) async fn first_start(readers: &SqlitePool) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT value FROM facts WHERE name = ?";
    let value: Option<String> = sqlx::query_scalar(sql).bind(FIRST_START).fetch_optional(readers).await?;
    value.map(|at| at.parse().map_err(|error| damaged(&error))).transpose()
}
