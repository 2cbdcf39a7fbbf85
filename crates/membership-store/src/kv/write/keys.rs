//! Adding sealed keys after their epochs have begun.

use busauth::UserId;
use room_protocol::{RoomId, SealedKey};

use super::super::commit::Decision;
use super::super::keys::Key;
use super::super::messages::BarrierMessage;
use super::super::{Inner, seals};
use crate::{Conflict, StoreError, rules};

/// Adds keys for one member.
pub(in crate::kv) async fn add(
    store: &Inner,
    room: RoomId,
    recipient: UserId,
    keys: Vec<(u64, SealedKey)>,
) -> Result<(), StoreError> {
    // The rules are checked at a revision that is the bucket's last, as for any write. If the recipient leaves the room
    // after that, the keys belong to a membership that is over, and are never read again.
    let decide = |store: &Inner| {
        rules::check_added_keys(&store.memory.view, &room, &recipient, &keys)?;
        Decision::write(Key::Barrier, &BarrierMessage {}, ())
    };
    store.write(decide).await?;
    let state = store.state(&room).await?;
    let since = state.member(&recipient).map(|member| member.since).ok_or(Conflict::NotAMember)?;
    seals::add(store, &room, &recipient, since, state.head().seq, keys).await
}
