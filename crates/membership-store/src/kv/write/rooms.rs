//! Writing rooms and their logs.

use std::sync::Arc;

use room_protocol::{RoomId, RoomState, SealedFor, SignedStatement};

use super::super::Inner;
use super::super::commit::Decision;
use super::super::keys::Key;
use super::super::messages::{EntryMessage, FrozenMessage, SealsMessage};
use super::super::seals;
use crate::record::{RoomHeader, TombstoneRecord};
use crate::rules::check_sealed;
use crate::view::MemberChange;
use crate::{Append, Appended, Bound, Conflict, NewRoom, RoomAccess, StoreError, Tombstone};

/// Creates a room.
pub(in crate::kv) async fn create(store: &Arc<Inner>, new: NewRoom) -> Result<(), StoreError> {
    let state = new.state();
    let access = RoomAccess::of(state, false, new.at());
    // What is refused anyway leaves no keys behind.
    let check = |store: &Inner| {
        check_deleted(store, &state.id())?;
        let change = store.memory.view.check_new_room(state)?;
        check_sealed(state, new.sealed())?;
        Ok::<_, StoreError>(change)
    };
    let mut seals = Staged::of(store, state, new.sealed(), || check(store).is_ok()).await?;
    loop {
        let decide = |store: &Inner| {
            let change = check(store)?;
            entry(&access, new.first(), change, &seals)
        };
        if store.write(decide).await? {
            store.memory.states.put(state.clone());
            return Ok(());
        }
        seals = Staged::of(store, state, new.sealed(), || true).await?;
    }
}

/// Refuses a room that was deleted, and any when there are too many of those.
fn check_deleted(store: &Inner, room: &RoomId) -> Result<(), StoreError> {
    let index = store.memory.index.read();
    if index.is_deleted(room) {
        return Err(Conflict::RoomExists.into());
    }
    let limit = store.options.max_deleted_rooms;
    if index.deleted_count() >= limit {
        return Err(StoreError::Full(Bound::DeletedRooms(limit)));
    }
    Ok(())
}

/// Appends a statement if the head is the expected one.
pub(in crate::kv) async fn append(store: &Arc<Inner>, append: Append) -> Result<Appended, StoreError> {
    let next = append.next();
    let check = |store: &Inner| {
        let room = store.memory.view.room(append.room()).ok_or(StoreError::NotFound)?;
        if room.head != *append.expected() {
            return Err(Conflict::HeadMoved(room.head).into());
        }
        let change = store.memory.view.check_next_state(next)?;
        check_sealed(next, append.sealed())?;
        Ok::<_, StoreError>((room, change))
    };
    let mut seals = Staged::of(store, next, append.sealed(), || check(store).is_ok()).await?;
    loop {
        let decide = |store: &Inner| {
            let (room, change) = check(store)?;
            let frozen = room.frozen || store.memory.view.orphans(next, &change);
            entry(&RoomAccess::of(next, frozen, room.created), append.statement(), change, &seals)
        };
        match store.write(decide).await {
            Ok(true) => break,
            Ok(false) => seals = Staged::of(store, next, append.sealed(), || true).await?,
            Err(StoreError::Conflict(Conflict::HeadMoved(head))) => {
                let seq = append.statement().statement().seq;
                let is_there =
                    seq <= head.seq && store.entry(append.room(), seq).await? == append.statement().as_str();
                return if is_there {
                    Ok(Appended::Already(head))
                } else {
                    Err(Conflict::HeadMoved(head).into())
                };
            }
            Err(error) => return Err(error),
        }
    }
    store.memory.states.put(next.clone());
    store.snapshot_if_due(next);
    Ok(Appended::Now(next.head()))
}

/// Sealed keys that are written before the entry that names them. Nobody reads them until then.
enum Staged {
    /// There are none, or they are where this says.
    Ready(Option<SealsMessage>),
    /// Not yet: the entry looked as if it would be refused, and what is refused leaves nothing behind.
    NotYet,
}

impl Staged {
    async fn of(
        store: &Inner,
        state: &RoomState,
        sealed: &[SealedFor],
        is_allowed: impl Fn() -> bool,
    ) -> Result<Self, StoreError> {
        match state.epoch() {
            Some(epoch) if !sealed.is_empty() => {
                // A single key is in the entry itself.
                if sealed.len() > 1 && !is_allowed() {
                    return Ok(Self::NotYet);
                }
                let seals = seals::stage(store, &state.id(), epoch.n, sealed).await?;
                Ok(Self::Ready(Some(seals)))
            }
            _ => Ok(Self::Ready(None)),
        }
    }
}

/// The write of an entry; false when its keys have to be staged first.
fn entry(
    access: &RoomAccess,
    statement: &SignedStatement,
    change: MemberChange,
    seals: &Staged,
) -> Result<Decision<bool>, StoreError> {
    let Staged::Ready(seals) = seals else { return Ok(Decision::Answer(Ok(false))) };
    let message = EntryMessage {
        jws: statement.as_str().to_owned(),
        room: RoomHeader::from(access),
        set: change.set,
        removed: change.removed,
        seals: seals.clone(),
    };
    Decision::write(Key::Entry(access.id, access.head.seq), &message, true)
}

/// Freezes or unfreezes a room.
pub(in crate::kv) async fn set_frozen(store: &Inner, id: RoomId, frozen: bool) -> Result<(), StoreError> {
    let decide = |store: &Inner| {
        let room = store.memory.view.room(&id).ok_or(StoreError::NotFound)?;
        if room.frozen == frozen {
            return Ok(Decision::Answer(Ok(())));
        }
        Decision::write(Key::Frozen(id), &FrozenMessage { frozen }, ())
    };
    store.write(decide).await
}

/// Deletes a room; its last entry stays.
pub(in crate::kv) async fn delete(store: &Inner, id: RoomId, at: u64) -> Result<(), StoreError> {
    loop {
        let last = match store.memory.view.room(&id) {
            Some(room) => Some((room.head, store.entry(&id, room.head.seq).await?)),
            None => None,
        };
        let decide = |store: &Inner| {
            let room = store.memory.view.room(&id).ok_or(StoreError::NotFound)?;
            let Some((head, last)) = last.clone().filter(|(head, _)| *head == room.head) else {
                return Ok(Decision::Answer(Ok(false)));
            };
            let tombstone = Tombstone { head, last, deleted: at };
            Decision::write(Key::Deleted(id), &TombstoneRecord::from(&tombstone), true)
        };
        // The log may have grown since its last entry was read.
        if store.write(decide).await? {
            store.deleted.notify_one();
            return Ok(());
        }
    }
}
