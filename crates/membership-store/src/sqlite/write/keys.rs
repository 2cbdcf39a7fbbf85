//! Writing sealed keys.

use std::sync::Arc;

use busauth::UserId;
use room_protocol::{RoomId, SealedKey};
use sqlx::SqliteConnection;

use super::Inner;
use crate::{StoreError, rules};

/// Adds keys for one member.
pub(in crate::sqlite) async fn add(
    store: Arc<Inner>,
    room: RoomId,
    recipient: UserId,
    keys: Vec<(u64, SealedKey)>,
) -> Result<(), StoreError> {
    let turn = store.writer.turn().await?;
    rules::check_added_keys(&store.view, &room, &recipient, &keys)?;
    let mut transaction = turn.begin().await?;
    let key = super::rooms::key(transaction.connection(), &room).await?;
    for (epoch, sealed) in &keys {
        put(transaction.connection(), key, &recipient, *epoch, sealed).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Writes one key within a transaction.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    room: i64,
    recipient: &UserId,
    epoch: u64,
    sealed: &SealedKey,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sealed_keys (room, user, epoch, sealed)
            VALUES (?, (SELECT key FROM users WHERE id = ?), ?, ?)
            ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
    )
    .bind(room)
    .bind(recipient.to_string())
    .bind(epoch.cast_signed())
    .bind(sealed.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
