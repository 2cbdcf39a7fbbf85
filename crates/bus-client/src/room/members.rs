//! Changes that owners make, and leaving.

use std::collections::BTreeMap;

use control_api::{EpochKeyCopy, PutKeys};
use http::Method;
use room_protocol::{EpochKey, History, Op, RoomLimits, RoomName, RoomRole, RoomState, SealedKey};

use super::Room;
use super::change::Draft;
use super::core::RoomCore;
use crate::error::{Error, ErrorKind, Result};
use crate::user_ref::{Confirm, UserRef};

/// Older keys handed over in one request.
const KEYS_PER_REQUEST: usize = 500;

impl Room {
    /// Adds a member. Owners only.
    ///
    /// The user must have been vouched for: pinned earlier, named by id or card, or confirmed now. An encrypted room
    /// without history opens a new epoch, so that the newcomer cannot read what came before; with shared history the
    /// newcomer gets the keys of all epochs that this identity has. Where that fails, adding them again with the same role hands
    /// the keys over.
    pub async fn add(&self, user: &UserRef, role: RoomRole, confirm: Confirm) -> Result<()> {
        let info = self.bus.confirmed_user(user, &confirm).await?;
        let card = info.card().map_err(|source| {
            Error::new(
                ErrorKind::KeySwapped,
                format!("the keys of {} are not certified by them", info.handle),
            )
            .with_source(source)
        })?;
        self.core
            .change(|state| {
                let is_added = state.member(&card.id).is_some_and(|member| member.role == role);
                // Whoever was added may still lack the older keys.
                if is_added && state.history() == History::Shared {
                    return Ok(None);
                }
                Ok(Some(Draft::adding(state, |epoch| Op::add(&card, info.handle.clone(), role, epoch))))
            })
            .await?;
        if self.core.view().state().history() == History::Shared {
            self.core.hand_over_keys(&card.id).await.map_err(|error| {
                error.after("the member is in the room, but has not got the older keys; add them again to hand them over")
            })?;
        }
        Ok(())
    }

    /// Changes what a member may do. Owners only. Nothing happens when the member has the role already.
    pub async fn set_role(&self, user: &UserRef, role: RoomRole) -> Result<()> {
        let user = self.member(user)?;
        self.core
            .change(|state| {
                if state.role_of(&user) == Some(role) {
                    return Ok(None);
                }
                Ok(Some(Draft::plain(Op::SetRole { user, role })))
            })
            .await
            .map(drop)
    }

    /// Removes a member, in an encrypted room with a new epoch in the same step. Owners only.
    pub async fn remove(&self, user: &UserRef) -> Result<()> {
        let user = self.member(user)?;
        if user == self.bus.user_id() {
            return self.leave().await;
        }
        self.core
            .change(|state| {
                // Another owner may have been faster.
                if state.member(&user).is_none() {
                    return Ok(None);
                }
                let opens = state.removal_opens_epoch();
                Ok(Some(Draft::opening(state, opens, |epoch| Op::Remove { user, epoch })))
            })
            .await
            .map(drop)
    }

    /// Leaves the room. The last owner cannot.
    pub async fn leave(&self) -> Result<()> {
        let user = self.bus.user_id();
        self.core.change(|_| Ok(Some(Draft::plain(Op::Remove { user, epoch: None })))).await?;
        self.core.look_again();
        Ok(())
    }

    /// Opens a new epoch of an encrypted room. Owners only.
    pub async fn rekey(&self) -> Result<()> {
        self.core.change(|state| rekeying(state).map(Some)).await.map(drop)
    }

    /// Gives the room another name or other bounds. Owners only.
    pub async fn update(&self, name: RoomName, limits: RoomLimits) -> Result<()> {
        self.core
            .change(|_| Ok(Some(Draft::plain(Op::Update { name: name.clone(), limits }))))
            .await
            .map(drop)
    }

    /// Ends the room's traffic for good. Owners only.
    pub async fn close(&self) -> Result<()> {
        self.core.change(|state| Ok((!state.is_closed()).then(|| Draft::plain(Op::Close {})))).await.map(drop)
    }

    /// The member that a person means. Handles are those of the room's signed log, checked against the pins.
    fn member(&self, user: &UserRef) -> Result<busauth::UserId> {
        let view = self.core.view();
        let state = view.state();
        let member = match user {
            UserRef::Id(id) => state.member(id),
            UserRef::Card(card) => state.member(&card.id),
            UserRef::Handle(handle) => state.member_by_handle(handle),
        };
        let member = member
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{user} is not a member of the room")))?;
        if let UserRef::Handle(handle) = user {
            self.bus.core.pins().check_handle(handle, member.user)?;
        }
        Ok(member.user)
    }
}

/// A bare new epoch, as after somebody left.
pub(super) fn rekeying(state: &RoomState) -> Result<Draft> {
    Draft::rekey(state).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "the room is not encrypted, so it has no key to replace")
    })
}

impl RoomCore {
    /// Gives a newcomer of a room with shared history the keys of the epochs before the present one.
    async fn hand_over_keys(&self, user: &busauth::UserId) -> Result<()> {
        let keys: BTreeMap<u64, EpochKey> = self.all_keys().await?.into_iter().collect();
        let view = self.view();
        let state = view.state();
        let member = state.member(user).ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "the newcomer was removed before the older keys were handed over")
        })?;
        let mut copies = Vec::new();
        for (n, key) in &keys {
            let context = state.key_context(*n);
            let sealed =
                SealedKey::seal(key, &context, *n, (&member.user, &member.exchange), &mut rand::rng())
                    .map_err(|source| {
                        Error::new(ErrorKind::Invalid, source.to_string()).with_source(source)
                    })?;
            copies.push(EpochKeyCopy { epoch: *n, sealed });
        }
        let path = format!("/v1/rooms/{}/keys", self.id);
        for keys in copies.chunks(KEYS_PER_REQUEST) {
            let request = PutKeys { user: *user, keys: keys.to_vec() };
            self.bus.control.command(Method::PUT, &path, Some(&request)).await?;
        }
        Ok(())
    }
}
