//! Writing rooms and their logs.

use std::sync::Arc;

use room_protocol::{RoomId, RoomState, SealedFor, SignedStatement};
use sqlx::SqliteConnection;

use super::{Inner, keys};
use crate::record::{self, RoomHeader, TombstoneRecord};
use crate::rules::{self, check_sealed};
use crate::sqlite::{errors::damaged, read};
use crate::view::{MemberChange, folded};
use crate::{Append, Appended, Conflict, NewRoom, RoomAccess, StoreError, Tombstone};

/// Creates a room.
pub(in crate::sqlite) async fn create(store: Arc<Inner>, new: NewRoom) -> Result<(), StoreError> {
    let turn = store.writer.turn().await?;
    let state = new.state();
    let change = store.view.check_new_room(state)?;
    check_sealed(state, new.sealed())?;
    match read::tombstone(&store.readers, &state.id()).await {
        Err(StoreError::NotFound) => {}
        Ok(_) => return Err(Conflict::RoomExists.into()),
        Err(error) => return Err(error),
    }
    let access = RoomAccess::of(state, false, new.at());
    let mut transaction = turn.begin().await?;
    let connection = transaction.connection();
    let key: i64 =
        sqlx::query_scalar("INSERT INTO rooms (id, subject, record) VALUES (?, ?, ?) RETURNING key")
            .bind(access.id.to_string())
            .bind(folded(access.subject.as_str()))
            .bind(record::encode(&RoomHeader::from(&access))?)
            .fetch_one(&mut *connection)
            .await?;
    insert_entry(connection, key, new.first()).await?;
    put_snapshot(connection, key, state).await?;
    change_members(connection, key, &change).await?;
    put_sealed(connection, key, state, new.sealed()).await?;
    let _turn = transaction.commit().await?;
    store.states.put(state.clone());
    store.view.put_room(access, &change);
    Ok(())
}

/// Appends a statement if the head is the expected one.
pub(in crate::sqlite) async fn append(store: Arc<Inner>, append: Append) -> Result<Appended, StoreError> {
    let turn = store.writer.turn().await?;
    let room = store.view.room(append.room()).ok_or(StoreError::NotFound)?;
    if room.head != *append.expected() {
        let mut reader = store.readers.acquire().await?;
        let there = read::entry(&mut reader, &room.id, append.statement().statement().seq).await?;
        return if there.as_deref() == Some(append.statement().as_str()) {
            Ok(Appended::Already(room.head))
        } else {
            Err(Conflict::HeadMoved(room.head).into())
        };
    }
    let next = append.next();
    let change = store.view.check_next_state(next)?;
    check_sealed(next, append.sealed())?;
    let frozen = room.frozen || store.view.orphans(next, &change);
    let access = RoomAccess::of(next, frozen, room.created);
    let mut transaction = turn.begin().await?;
    let connection = transaction.connection();
    let key = key(connection, &access.id).await?;
    insert_entry(connection, key, append.statement()).await?;
    replace_header(connection, &access).await?;
    snapshot_if_due(connection, key, next).await?;
    change_members(connection, key, &change).await?;
    put_sealed(connection, key, next, append.sealed()).await?;
    let _turn = transaction.commit().await?;
    let head = access.head;
    store.states.put(next.clone());
    store.view.put_room(access, &change);
    Ok(Appended::Now(head))
}

/// Freezes or unfreezes a room.
pub(in crate::sqlite) async fn set_frozen(
    store: Arc<Inner>,
    id: RoomId,
    frozen: bool,
) -> Result<(), StoreError> {
    let turn = store.writer.turn().await?;
    let room = store.view.room(&id).ok_or(StoreError::NotFound)?;
    if room.frozen == frozen {
        return Ok(());
    }
    let mut transaction = turn.begin().await?;
    replace_header(transaction.connection(), &RoomAccess { frozen, ..RoomAccess::clone(&room) }).await?;
    let _turn = transaction.commit().await?;
    store.view.set_frozen(&id, frozen);
    Ok(())
}

/// Deletes a room; its last entry stays.
pub(in crate::sqlite) async fn delete(store: Arc<Inner>, id: RoomId, at: u64) -> Result<(), StoreError> {
    let turn = store.writer.turn().await?;
    let room = store.view.room(&id).ok_or(StoreError::NotFound)?;
    let mut transaction = turn.begin().await?;
    let connection = transaction.connection();
    let last = read::entry(connection, &id, room.head.seq).await?;
    let last = last.ok_or_else(|| damaged(&"a room's last entry is gone"))?;
    let tombstone = Tombstone { head: room.head, last, deleted: at };
    sqlx::query("INSERT INTO tombstones (id, record) VALUES (?, ?)")
        .bind(id.to_string())
        .bind(record::encode(&TombstoneRecord::from(&tombstone))?)
        .execute(&mut *connection)
        .await?;
    // The log, the snapshot, the members, the keys and the records of its files go with it.
    sqlx::query("DELETE FROM rooms WHERE id = ?").bind(id.to_string()).execute(connection).await?;
    let _turn = transaction.commit().await?;
    store.view.remove_room(&id);
    store.states.remove(&id);
    Ok(())
}

/// The number that other tables know a room by.
pub(super) async fn key(connection: &mut SqliteConnection, id: &RoomId) -> Result<i64, StoreError> {
    let sql = "SELECT key FROM rooms WHERE id = ?";
    let key = sqlx::query_scalar(sql).bind(id.to_string()).fetch_optional(connection).await?;
    key.ok_or_else(|| damaged(&"a room of the view is not in the file"))
}

/// Replaces what the view is loaded from.
pub(super) async fn replace_header(
    connection: &mut SqliteConnection,
    room: &RoomAccess,
) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE rooms SET record = ? WHERE id = ?")
        .bind(record::encode(&RoomHeader::from(room))?)
        .bind(room.id.to_string())
        .execute(connection)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(damaged(&"a room of the view is not in the file")) }
}

async fn insert_entry(
    connection: &mut SqliteConnection,
    room: i64,
    statement: &SignedStatement,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO room_log (room, seq, jws) VALUES (?, ?, ?)")
        .bind(room)
        .bind(statement.statement().seq.cast_signed())
        .bind(statement.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_snapshot(
    connection: &mut SqliteConnection,
    room: i64,
    state: &RoomState,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO room_states (room, seq, state) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET seq = excluded.seq, state = excluded.state",
    )
    .bind(room)
    .bind(state.head().seq.cast_signed())
    .bind(record::encode_state(state)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn snapshot_if_due(
    connection: &mut SqliteConnection,
    room: i64,
    state: &RoomState,
) -> Result<(), StoreError> {
    let sql = "SELECT seq FROM room_states WHERE room = ?";
    let last: i64 = sqlx::query_scalar(sql).bind(room).fetch_one(&mut *connection).await?;
    let behind = state.head().seq.saturating_sub(last.cast_unsigned());
    if behind >= rules::snapshot_interval(state) {
        put_snapshot(connection, room, state).await?;
    }
    Ok(())
}

async fn change_members(
    connection: &mut SqliteConnection,
    room: i64,
    change: &MemberChange,
) -> Result<(), StoreError> {
    for (user, role) in &change.set {
        sqlx::query(
            "INSERT INTO members (room, user, role) VALUES (?, (SELECT key FROM users WHERE id = ?), ?)
                ON CONFLICT DO UPDATE SET role = excluded.role",
        )
        .bind(room)
        .bind(user.to_string())
        .bind(record::role_word(*role))
        .execute(&mut *connection)
        .await?;
    }
    for user in &change.removed {
        for sql in [
            "DELETE FROM members WHERE room = ? AND user = (SELECT key FROM users WHERE id = ?)",
            "DELETE FROM sealed_keys WHERE room = ? AND user = (SELECT key FROM users WHERE id = ?)",
        ] {
            sqlx::query(sql).bind(room).bind(user.to_string()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn put_sealed(
    connection: &mut SqliteConnection,
    room: i64,
    state: &RoomState,
    sealed: &[SealedFor],
) -> Result<(), StoreError> {
    let Some(epoch) = state.epoch() else { return Ok(()) };
    for key in sealed {
        keys::put(connection, room, &key.user, epoch.n, &key.sealed).await?;
    }
    Ok(())
}
