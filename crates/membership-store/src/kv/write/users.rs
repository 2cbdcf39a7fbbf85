//! Writing the allowlist.

use busauth::UserId;
use room_protocol::RoomId;

use super::super::Inner;
use super::super::commit::Decision;
use super::super::keys::Key;
use super::super::messages::{RevokedMessage, RoleMessage};
use crate::record::UserRecord;
use crate::{BusRole, Conflict, NewUser, Revocation, StoreError, User};

/// Adds a user.
pub(in crate::kv) async fn add(store: &Inner, new: NewUser) -> Result<User, StoreError> {
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
    let decide = |store: &Inner| {
        store.memory.view.check_new_user(&user.id, &user.handle, &user.login)?;
        Decision::write(Key::User(user.id), &UserRecord::from(&user), user.clone())
    };
    store.write(decide).await
}

/// Changes an active user's role.
pub(in crate::kv) async fn set_role(store: &Inner, id: UserId, role: BusRole) -> Result<User, StoreError> {
    let decide = |store: &Inner| {
        let mut user = known(store, &id)?;
        if !user.is_active() {
            return Err(Conflict::UserRevoked.into());
        }
        if user.role == role {
            return Ok(Decision::Answer(Ok(user)));
        }
        if role != BusRole::Admin {
            store.memory.view.check_admin_remains(&id)?;
        }
        user.role = role;
        Decision::write(Key::UserRole(id), &RoleMessage { role }, user)
    };
    store.write(decide).await
}

/// Revokes a user, and freezes the rooms that are left without an active owner.
pub(in crate::kv) async fn revoke(store: &Inner, id: UserId, at: u64) -> Result<Revocation, StoreError> {
    let decide = |store: &Inner| {
        let mut user = known(store, &id)?;
        if !user.is_active() {
            return Ok(Decision::Answer(Ok(Revocation { user, frozen: Vec::new() })));
        }
        store.memory.view.check_admin_remains(&id)?;
        let orphaned = store.memory.view.rooms_orphaned_by(&id);
        let frozen: Vec<RoomId> = orphaned.iter().map(|room| room.id).collect();
        user.revoked = Some(at);
        Decision::write(Key::UserRevoked(id), &RevokedMessage { at }, Revocation { user, frozen })
    };
    store.write(decide).await
}

fn known(store: &Inner, id: &UserId) -> Result<User, StoreError> {
    store.memory.view.user(id).map(|user| User::clone(&user)).ok_or(StoreError::NotFound)
}
