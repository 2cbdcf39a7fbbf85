//! Writing the allowlist.

use std::sync::Arc;

use busauth::UserId;
use room_protocol::RoomId;
use sqlx::SqliteConnection;

use super::Inner;
use crate::record::{self, UserRecord};
use crate::sqlite::errors::damaged;
use crate::{BusRole, Conflict, NewUser, Revocation, RoomAccess, StoreError, User};

/// Adds a user.
pub(in crate::sqlite) async fn add(store: Arc<Inner>, new: NewUser) -> Result<User, StoreError> {
    let turn = store.writer.turn().await?;
    let user = User {
        id: new.card.id,
        handle: new.handle,
        login: new.card.login,
        exchange: new.card.exchange,
        certificates: new.card.certificates,
        role: new.role,
        created: new.at,
        revoked: None,
    };
    store.view.check_new_user(&user.id, &user.handle, &user.login)?;
    let mut transaction = turn.begin().await?;
    sqlx::query("INSERT INTO users (id, handle, login, record) VALUES (?, ?, ?, ?)")
        .bind(user.id.to_string())
        .bind(user.handle.as_str())
        .bind(user.login.to_string())
        .bind(record::encode(&UserRecord::from(&user))?)
        .execute(transaction.connection())
        .await?;
    let _turn = transaction.commit().await?;
    store.view.put_user(user.clone());
    Ok(user)
}

/// Changes an active user's role.
pub(in crate::sqlite) async fn set_role(
    store: Arc<Inner>,
    id: UserId,
    role: BusRole,
) -> Result<User, StoreError> {
    let turn = store.writer.turn().await?;
    let mut user = stored(&store, &id)?;
    if !user.is_active() {
        return Err(Conflict::UserRevoked.into());
    }
    if user.role == role {
        return Ok(user);
    }
    if role != BusRole::Admin {
        store.view.check_admin_remains(&id)?;
    }
    user.role = role;
    let mut transaction = turn.begin().await?;
    replace(transaction.connection(), &user).await?;
    let _turn = transaction.commit().await?;
    store.view.put_user(user.clone());
    Ok(user)
}

/// Revokes a user, and freezes the rooms that are left without an active owner.
pub(in crate::sqlite) async fn revoke(
    store: Arc<Inner>,
    id: UserId,
    at: u64,
) -> Result<Revocation, StoreError> {
    let turn = store.writer.turn().await?;
    let mut user = stored(&store, &id)?;
    if !user.is_active() {
        return Ok(Revocation { user, frozen: Vec::new() });
    }
    store.view.check_admin_remains(&id)?;
    user.revoked = Some(at);
    let orphaned = store.view.rooms_orphaned_by(&id);
    let mut transaction = turn.begin().await?;
    replace(transaction.connection(), &user).await?;
    for room in &orphaned {
        let frozen = RoomAccess { frozen: true, ..RoomAccess::clone(room) };
        super::rooms::replace_header(transaction.connection(), &frozen).await?;
    }
    let _turn = transaction.commit().await?;
    let frozen: Vec<RoomId> = orphaned.iter().map(|room| room.id).collect();
    store.view.revoke(user.clone(), &frozen);
    Ok(Revocation { user, frozen })
}

/// The user as it is stored: while it is this writer's turn, the view is.
fn stored(store: &Inner, id: &UserId) -> Result<User, StoreError> {
    store.view.user(id).map(|user| User::clone(&user)).ok_or(StoreError::NotFound)
}

async fn replace(connection: &mut SqliteConnection, user: &User) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE users SET record = ? WHERE id = ?")
        .bind(record::encode(&UserRecord::from(user))?)
        .bind(user.id.to_string())
        .execute(connection)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(damaged(&"a user is gone")) }
}
