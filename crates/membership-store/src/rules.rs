//! Rules that no backend decides for itself.

use busauth::UserId;
use room_protocol::{RoomId, RoomState, SealedFor, SealedKey};

use crate::{Conflict, StoreError, View};

/// A snapshot of the state is written every so many entries, so that reading a room never applies many…
const SNAPSHOT_EVERY: u64 = 16;
/// …or, in large rooms, every this share of the members, so that snapshots stay a small part of what is written.
const SNAPSHOT_SHARE: u64 = 8;

/// After how many entries the next snapshot of a room's state is due.
pub(crate) fn snapshot_interval(state: &RoomState) -> u64 {
    SNAPSHOT_EVERY.max(state.member_count() as u64 / SNAPSHOT_SHARE)
}

/// About how many bytes of log one answer holds. An entry has at most 64 KiB.
pub(crate) const LOG_PAGE_BYTES: u32 = 1 << 20;

/// Keys belong to members, and to an epoch.
pub(crate) fn check_sealed(state: &RoomState, sealed: &[SealedFor]) -> Result<(), StoreError> {
    if sealed.is_empty() {
        return Ok(());
    }
    if state.epoch().is_none() {
        return Err(Conflict::UnknownEpoch(0).into());
    }
    match sealed.iter().find(|key| state.role_of(&key.user).is_none()) {
        None => Ok(()),
        Some(_) => Err(Conflict::NotAMember.into()),
    }
}

/// Keys are added for members, and for epochs that the room had.
pub(crate) fn check_added_keys(
    view: &View,
    room: &RoomId,
    recipient: &UserId,
    keys: &[(u64, SealedKey)],
) -> Result<(), StoreError> {
    let access = view.room(room).ok_or(StoreError::NotFound)?;
    if view.role_of(room, recipient).is_none() {
        return Err(Conflict::NotAMember.into());
    }
    match keys.iter().find(|(epoch, _)| access.epoch.is_none_or(|newest| *epoch > newest)) {
        Some((epoch, _)) => Err(Conflict::UnknownEpoch(*epoch).into()),
        None => Ok(()),
    }
}
