//! What is read from the file because the view does not hold it.

pub(super) mod blobs;

use std::sync::Arc;

use busauth::UserId;
use room_protocol::{RoomId, RoomState, SealedKey, SignedStatement};
use sqlx::{SqliteConnection, SqlitePool};

use super::errors::damaged;
use crate::error::job_ended;
use crate::record::{self, RoomHeader, TombstoneRecord, UserRecord};
use crate::rules::LOG_PAGE_BYTES;
use crate::{
    AuditEntry, AuditQuery, Listing, NewAuditEntry, Page, RoomAccess, RoomRecord, StoreError, Tombstone, User,
};

/// A page's size in SQL.
fn size<C>(page: &Page<C>) -> i64 {
    i64::try_from(page.size()).unwrap_or(i64::MAX - 1)
}

/// One more row than the page holds tells whether there is a next page.
fn rows<C>(page: &Page<C>) -> i64 {
    size(page) + 1
}

/// Users in the order of their ids' text.
pub(super) async fn users(
    readers: &SqlitePool,
    page: &Page<UserId>,
) -> Result<Listing<User, UserId>, StoreError> {
    let after = page.after.map_or_else(String::new, |id| id.to_string());
    let sql = "SELECT record FROM users WHERE id > ? ORDER BY id LIMIT ?";
    let texts: Vec<String> = sqlx::query_scalar(sql).bind(after).bind(rows(page)).fetch_all(readers).await?;
    let users = texts.iter().map(|text| Ok(record::decode::<UserRecord>(text)?.into()));
    Ok(Listing::cut(users.collect::<Result<Vec<User>, StoreError>>()?, page.size(), |user| user.id))
}

/// A room's state: its snapshot, and the entries after it.
pub(super) async fn room(readers: &SqlitePool, id: &RoomId) -> Result<RoomRecord, StoreError> {
    let mut transaction = readers.begin().await?;
    let sql = "SELECT rooms.key, rooms.record, room_states.seq, room_states.state
        FROM rooms JOIN room_states ON room_states.room = rooms.key WHERE rooms.id = ?";
    let row: Option<(i64, String, i64, String)> =
        sqlx::query_as(sql).bind(id.to_string()).fetch_optional(&mut *transaction).await?;
    let (key, header, seq, snapshot) = row.ok_or(StoreError::NotFound)?;
    let sql = "SELECT jws FROM room_log WHERE room = ? AND seq > ? ORDER BY seq";
    let entries: Vec<String> =
        sqlx::query_scalar(sql).bind(key).bind(seq).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;

    let header = RoomAccess::from(record::decode::<RoomHeader>(&header)?);
    // Parsing thousands of keys takes milliseconds.
    let state = tokio::task::spawn_blocking(move || restore(&snapshot, &entries)).await;
    let state = state.map_err(|error| job_ended(&error))??;
    if state.head() != header.head {
        return Err(damaged(&format_args!("the log of room {id} does not end at its head")));
    }
    Ok(RoomRecord { state: Arc::new(state), frozen: header.frozen, created: header.created })
}

fn restore(snapshot: &str, entries: &[String]) -> Result<RoomState, StoreError> {
    let mut state = record::decode_state(snapshot)?;
    for jws in entries {
        let entry: SignedStatement = jws.parse().map_err(|error| damaged(&error))?;
        state = state.apply(&entry).map_err(|violation| damaged(&violation))?;
    }
    Ok(state)
}

/// Entries from `from` on; of a deleted room, its last.
pub(super) async fn log(
    readers: &SqlitePool,
    id: &RoomId,
    from: u64,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let limit = size(&Page::<u64>::first(limit));
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let mut transaction = readers.begin().await?;
    let sql = "SELECT key FROM rooms WHERE id = ?";
    let key: Option<i64> =
        sqlx::query_scalar(sql).bind(id.to_string()).fetch_optional(&mut *transaction).await?;
    let Some(key) = key else {
        transaction.rollback().await?;
        let tombstone = tombstone(readers, id).await?;
        let is_asked_for = i64::try_from(tombstone.head.seq).is_ok_and(|seq| seq >= from);
        return Ok(if is_asked_for { vec![tombstone.last] } else { Vec::new() });
    };
    // The running total before an entry decides, so that the first is always there.
    let sql = "SELECT jws FROM (
            SELECT seq, jws, sum(length(jws)) OVER (ORDER BY seq) - length(jws) AS bytes_before
            FROM (SELECT seq, jws FROM room_log WHERE room = ? AND seq >= ? ORDER BY seq LIMIT ?)
        ) WHERE bytes_before < ? ORDER BY seq";
    let entries = sqlx::query_scalar(sql)
        .bind(key)
        .bind(from)
        .bind(limit)
        .bind(i64::from(LOG_PAGE_BYTES))
        .fetch_all(&mut *transaction)
        .await?;
    transaction.rollback().await?;
    Ok(entries)
}

/// The entry with this number, if the log has it.
pub(super) async fn entry(
    connection: &mut SqliteConnection,
    id: &RoomId,
    seq: u64,
) -> Result<Option<String>, StoreError> {
    let sql =
        "SELECT jws FROM room_log JOIN rooms ON rooms.key = room_log.room WHERE rooms.id = ? AND seq = ?";
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    Ok(sqlx::query_scalar(sql).bind(id.to_string()).bind(seq).fetch_optional(connection).await?)
}

/// The keys sealed to one member, by epoch.
pub(super) async fn sealed_keys(
    readers: &SqlitePool,
    room: &RoomId,
    recipient: &UserId,
    page: &Page<u64>,
) -> Result<Listing<(u64, SealedKey), u64>, StoreError> {
    // Epochs count from 0, so "after nothing" is below it.
    let after = page.after.map_or(-1, |epoch| i64::try_from(epoch).unwrap_or(i64::MAX));
    let sql = "SELECT epoch, sealed FROM sealed_keys
        WHERE room = (SELECT key FROM rooms WHERE id = ?) AND user = (SELECT key FROM users WHERE id = ?)
            AND epoch > ?
        ORDER BY epoch LIMIT ?";
    let keys: Vec<(i64, String)> = sqlx::query_as(sql)
        .bind(room.to_string())
        .bind(recipient.to_string())
        .bind(after)
        .bind(rows(page))
        .fetch_all(readers)
        .await?;
    let keys = keys.iter().map(|(epoch, sealed)| {
        let sealed: SealedKey = sealed.parse().map_err(|error| damaged(&error))?;
        Ok((epoch.cast_unsigned(), sealed))
    });
    Ok(Listing::cut(keys.collect::<Result<Vec<_>, StoreError>>()?, page.size(), |(epoch, _)| *epoch))
}

/// What stays of a deleted room.
pub(super) async fn tombstone(readers: &SqlitePool, id: &RoomId) -> Result<Tombstone, StoreError> {
    let sql = "SELECT record FROM tombstones WHERE id = ?";
    let text: Option<String> = sqlx::query_scalar(sql).bind(id.to_string()).fetch_optional(readers).await?;
    Ok(record::decode::<TombstoneRecord>(&text.ok_or(StoreError::NotFound)?)?.into())
}

/// Audit records, newest first.
pub(super) async fn audit(
    readers: &SqlitePool,
    query: &AuditQuery,
) -> Result<Listing<AuditEntry, u64>, StoreError> {
    type Row = (i64, i64, String, String, Option<String>, Option<String>);
    let before = query.page.after.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(i64::MAX);
    let sql = "SELECT seq, at, actor, action, target, detail FROM audit
        WHERE seq < ?1 AND (?2 IS NULL OR actor = ?2) AND (?3 IS NULL OR action = ?3)
            AND (?4 IS NULL OR target = ?4)
        ORDER BY seq DESC LIMIT ?5";
    let found: Vec<Row> = sqlx::query_as(sql)
        .bind(before)
        .bind(query.actor.as_ref().map(ToString::to_string))
        .bind(&query.action)
        .bind(&query.target)
        .bind(rows(&query.page))
        .fetch_all(readers)
        .await?;
    let entries = found.into_iter().map(|(seq, at, actor, action, target, detail)| {
        let actor = actor.parse().map_err(|error| damaged(&error))?;
        let entry = NewAuditEntry { at: at.cast_unsigned(), actor, action, target, detail };
        Ok(AuditEntry { seq: seq.cast_unsigned(), entry })
    });
    Ok(Listing::cut(entries.collect::<Result<Vec<_>, StoreError>>()?, query.page.size(), |entry| entry.seq))
}

/// Whether a fact about the bus is recorded.
pub(super) async fn has_fact(readers: &SqlitePool, name: &str) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM facts WHERE name = ?";
    let count: i64 = sqlx::query_scalar(sql).bind(name).fetch_one(readers).await?;
    Ok(count > 0)
}
