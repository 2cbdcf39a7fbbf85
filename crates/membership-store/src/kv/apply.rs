//! What a message changes in memory. The only place where view and index change.
//!
//! Messages come in the order of the bucket, each whole. One whose key was written again since is missing: a role,
//! a frozen mark, a file. Later messages never depend on those, so whatever is missing was replaced by something
//! that is still to come, and at the end of the bucket memory is what every other reader has.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::time::{Duration, Instant};

use busauth::UserId;
use room_protocol::{BlobDigest, RoomId};
use tokio::sync::broadcast;

use super::index::{Index, Place, Seals, mark};
use super::keys::Key;
use super::messages::{
    EntryMessage, FileMessage, FrozenMessage, MovingMessage, RevokedMessage, RoleMessage, SealsMessage,
    SealsPlace,
};
use super::{Changed, Memory};
use crate::record::{self, UserRecord};
use crate::view::MemberChange;
use crate::{BlobRecord, RoomAccess, User, View};

/// The bucket holds what no program of ours wrote there.
#[derive(Debug)]
pub(super) struct Damage(pub(super) String);

impl<E: std::error::Error> From<E> for Damage {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

fn damage<T>(what: impl Display) -> Result<T, Damage> {
    Err(Damage(what.to_string()))
}

/// Rooms of which entries are missing, as it is while the messages of a deleted room are being removed.
#[derive(Debug, Default)]
pub(super) struct Loose {
    torn: HashMap<RoomId, Instant>,
    /// Deleted rooms of which there may be messages left.
    leftovers: HashSet<RoomId>,
}

/// How many deleted rooms are remembered until somebody cleans up after them.
const MAX_LEFTOVERS: usize = 10_000;
/// A room that is torn was deleted, and the message that says so is already there.
const TORN_AT_MOST: Duration = Duration::from_mins(1);

impl Loose {
    /// The rooms that are torn.
    pub(super) fn torn(&self) -> HashSet<RoomId> {
        self.torn.keys().copied().collect()
    }

    /// The deleted rooms of which there may be messages left.
    pub(super) fn leftovers(&self) -> Vec<RoomId> {
        self.leftovers.iter().copied().collect()
    }

    /// There are no messages of this room left.
    pub(super) fn forget_leftover(&mut self, room: &RoomId) {
        self.leftovers.remove(room);
    }

    fn check(&self) -> Result<(), Damage> {
        match self.torn.iter().find(|(_, since)| since.elapsed() > TORN_AT_MOST) {
            None => Ok(()),
            Some((room, _)) => damage(torn(room)),
        }
    }
}

/// What is said of a room that stays torn.
pub(super) fn torn(room: &RoomId) -> String {
    format!("entries of room {room} are missing")
}

/// Changes memory as one message says.
pub(super) fn apply(memory: &Memory, revision: u64, key: &Key, text: &str) -> Result<(), Damage> {
    let Memory { view, index, changes, loose, .. } = memory;
    loose.lock().check()?;
    match key {
        Key::User(id) => user(memory, revision, id, text)?,
        Key::UserRole(id) => {
            let mut user = known_user(view, id)?;
            user.role = record::decode::<RoleMessage>(text)?.role;
            view.put_user(user);
            tell(changes, revision, Changed::User(*id));
        }
        Key::UserRevoked(id) => revoke(memory, revision, id, text)?,
        Key::Entry(room, seq) => entry(memory, revision, (*room, *seq), text)?,
        Key::Frozen(room) => {
            view.set_frozen(room, record::decode::<FrozenMessage>(text)?.frozen);
            tell(changes, revision, Changed::Room(*room, Vec::new()));
        }
        Key::File(room, digest) => file(&mut index.write(), room, digest, text)?,
        Key::Deleted(room) => delete(memory, revision, *room),
        Key::FirstStart => index.write().mark_first_start(),
        Key::Moving => index.write().set_moving(record::decode::<MovingMessage>(text)?.moving),
        Key::Barrier => {}
        Key::Node(name) => index.write().put_node(name.clone(), revision, text.to_owned()),
    }
    Ok(())
}

fn known_user(view: &View, id: &UserId) -> Result<User, Damage> {
    match view.user(id) {
        Some(user) => Ok(User::clone(&user)),
        None => damage(format_args!("the record of user {id} is missing")),
    }
}

fn user(memory: &Memory, revision: u64, id: &UserId, text: &str) -> Result<(), Damage> {
    let user = User::from(record::decode::<UserRecord>(text)?);
    if user.id != *id {
        return damage(format_args!("the record of {} is in the place of {id}", user.id));
    }
    memory.view.put_user(user);
    memory.index.write().add_user(id);
    tell(&memory.changes, revision, Changed::User(*id));
    Ok(())
}

fn revoke(memory: &Memory, revision: u64, id: &UserId, text: &str) -> Result<(), Damage> {
    let mut user = known_user(&memory.view, id)?;
    let message: RevokedMessage = record::decode(text)?;
    user.revoked = Some(message.at);
    // Owners and revocations are never replaced, so every reader comes to the same rooms.
    let frozen: Vec<RoomId> = memory.view.rooms_orphaned_by(id).iter().map(|room| room.id).collect();
    memory.view.revoke(user, &frozen);
    tell(&memory.changes, revision, Changed::User(*id));
    for room in frozen {
        tell(&memory.changes, revision, Changed::Room(room, Vec::new()));
    }
    Ok(())
}

fn file(index: &mut Index, room: &RoomId, digest: &BlobDigest, text: &str) -> Result<(), Damage> {
    match record::decode::<FileMessage>(text)?.file {
        // Of a deleted room, until its messages are removed.
        Some(_) if index.is_deleted(room) => {}
        Some(file) => {
            let (size, uploader, at) = (file.size, file.uploader, file.at);
            index.put_file(*room, BlobRecord { digest: *digest, size, uploader, at });
        }
        None => index.remove_file(room, digest),
    }
    Ok(())
}

fn entry(memory: &Memory, revision: u64, (room, seq): (RoomId, u64), text: &str) -> Result<(), Damage> {
    let message: EntryMessage = record::decode(text)?;
    let access = RoomAccess::from(message.room);
    if access.id != room || access.head.seq != seq {
        return damage(format_args!("entry {seq} of room {room} is about another"));
    }
    let before = memory.view.room(&room).map_or(0, |room| room.head.seq);
    {
        let mut loose = memory.loose.lock();
        if before + 1 != seq || loose.torn.contains_key(&room) {
            loose.torn.entry(room).or_insert_with(Instant::now);
            return Ok(());
        }
    }
    for (user, _) in &message.set {
        if memory.view.user(user).is_none() {
            return damage(format_args!("member {user} of room {room} is no user"));
        }
    }
    if let Some(seals) = message.seals {
        memory.index.write().add_seals(room, seals_of(seq, seals));
    }
    let affected = message.set.iter().map(|(user, _)| *user).chain(message.removed.iter().copied()).collect();
    memory.view.put_room(access, &MemberChange { set: message.set, removed: message.removed });
    tell(&memory.changes, revision, Changed::Room(room, affected));
    Ok(())
}

fn seals_of(seq: u64, seals: SealsMessage) -> Seals {
    let place = match seals.place {
        SealsPlace::One(key) => Place::One(mark(&key.user)),
        SealsPlace::Set { id, parts } => Place::Set { id: id.into(), parts },
    };
    Seals { seq, epoch: seals.epoch, place }
}

fn delete(memory: &Memory, revision: u64, room: RoomId) {
    let affected: Vec<UserId> = memory.view.members(&room).iter().map(|(user, _)| user.id).collect();
    {
        let mut loose = memory.loose.lock();
        let was_torn = loose.torn.remove(&room).is_some();
        if (was_torn || memory.view.room(&room).is_some()) && loose.leftovers.len() < MAX_LEFTOVERS {
            loose.leftovers.insert(room);
        }
    }
    memory.view.remove_room(&room);
    memory.index.write().delete_room(room);
    memory.states.remove(&room);
    tell(&memory.changes, revision, Changed::Room(room, affected));
}

/// Nobody may be listening.
fn tell(changes: &broadcast::Sender<(u64, Changed)>, revision: u64, what: Changed) {
    drop(changes.send((revision, what)));
}
