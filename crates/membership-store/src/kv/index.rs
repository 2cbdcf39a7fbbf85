//! What the backend keeps in memory beside the view: what is checked before a write, or read often.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use busauth::UserId;
use room_protocol::{BlobDigest, RoomId};

use super::NodeRecord;
use super::keys::NodeName;
use crate::{BlobRecord, BlobUsage, Listing, Page};

/// Where the keys are that were sealed with one entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seals {
    /// The entry.
    pub(super) seq: u64,
    pub(super) epoch: u64,
    pub(super) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the entry itself, one key, for somebody with this mark.
    One(u32),
    /// A set of its own.
    Set { id: Box<str>, parts: u16 },
}

/// A few bits of a user's id. Two users may have the same.
pub(super) fn mark(user: &UserId) -> u32 {
    let bytes = user.as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[derive(Debug, Default)]
struct RoomIndex {
    seals: Vec<Seals>,
    files: BTreeMap<BlobDigest, BlobRecord>,
    file_bytes: u128,
}

/// Sealed sets, files, deleted rooms and users by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    rooms: HashMap<RoomId, RoomIndex>,
    bytes_of: HashMap<UserId, u128>,
    files: usize,
    deleted: HashSet<RoomId>,
    /// The text of an id decides the order of listings, as on every backend.
    users: BTreeMap<Box<str>, UserId>,
    nodes: BTreeMap<NodeName, (u64, String)>,
    first_start: bool,
    moving: bool,
    /// How often the end of a move was read.
    ended_moves: u64,
}

fn clamp(bytes: u128) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// How many nodes are remembered; the bucket belongs to one cluster. Of more, those who said something last.
const MAX_NODES: usize = 64;

/// Reading.
impl Index {
    pub(super) fn is_deleted(&self, room: &RoomId) -> bool {
        self.deleted.contains(room)
    }

    pub(super) fn deleted_count(&self) -> usize {
        self.deleted.len()
    }

    pub(super) fn is_first_start(&self) -> bool {
        !self.first_start && self.users.is_empty()
    }

    pub(super) fn has_first_start_mark(&self) -> bool {
        self.first_start
    }

    pub(super) fn is_moving(&self) -> bool {
        self.moving
    }

    pub(super) fn ended_moves(&self) -> u64 {
        self.ended_moves
    }

    /// Ids of users in order: one more than the page holds, if there are.
    pub(super) fn users(&self, page: &Page<UserId>) -> Vec<UserId> {
        let after = page.after.map(|id| id.to_string());
        let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.users.range::<str, _>((start, Bound::Unbounded));
        users.map(|(_, id)| *id).take(page.size() + 1).collect()
    }

    pub(super) fn file(&self, room: &RoomId, digest: &BlobDigest) -> Option<BlobRecord> {
        self.rooms.get(room)?.files.get(digest).copied()
    }

    pub(super) fn files(&self, room: &RoomId, page: &Page<BlobDigest>) -> Listing<BlobRecord, BlobDigest> {
        let start = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let files = self.rooms.get(room).map(|room| room.files.range((start, Bound::Unbounded)));
        let files = files.into_iter().flatten().map(|(_, file)| *file).take(page.size() + 1).collect();
        Listing::cut(files, page.size(), |file: &BlobRecord| file.digest)
    }

    pub(super) fn usage(&self, room: &RoomId, user: &UserId) -> BlobUsage {
        BlobUsage {
            room_bytes: clamp(self.rooms.get(room).map_or(0, |room| room.file_bytes)),
            user_bytes: clamp(self.bytes_of.get(user).copied().unwrap_or(0)),
        }
    }

    pub(super) fn file_count(&self) -> usize {
        self.files
    }

    /// Deleted rooms by the text of their ids.
    pub(super) fn deleted_rooms(&self) -> Vec<RoomId> {
        let mut deleted: Vec<RoomId> = self.deleted.iter().copied().collect();
        deleted.sort_by_cached_key(ToString::to_string);
        deleted
    }

    /// The sets that were sealed with entries from `since` on, for epochs after `after`.
    pub(super) fn seals(&self, room: &RoomId, since: u64, after: Option<u64>) -> Vec<Seals> {
        let seals = self.rooms.get(room).map_or(&[][..], |room| &room.seals);
        let wanted = |seals: &&Seals| seals.seq >= since && after.is_none_or(|after| seals.epoch > after);
        seals.iter().filter(wanted).cloned().collect()
    }

    /// Whether an entry of the room's log names this set.
    pub(super) fn names_set(&self, room: &RoomId, set: &str) -> bool {
        let seals = self.rooms.get(room).map_or(&[][..], |room| &room.seals);
        seals.iter().any(|seals| matches!(&seals.place, Place::Set { id, .. } if **id == *set))
    }

    pub(super) fn nodes(&self) -> Vec<NodeRecord> {
        let record = |(name, (revision, text)): (&NodeName, &(u64, String))| NodeRecord {
            name: name.clone(),
            revision: *revision,
            text: text.clone(),
        };
        self.nodes.iter().map(record).collect()
    }
}

/// Changing.
impl Index {
    pub(super) fn add_user(&mut self, user: &UserId) {
        self.users.insert(user.to_string().into(), *user);
    }

    pub(super) fn add_seals(&mut self, room: RoomId, seals: Seals) {
        self.rooms.entry(room).or_default().seals.push(seals);
    }

    pub(super) fn put_file(&mut self, room: RoomId, file: BlobRecord) {
        self.remove_file(&room, &file.digest);
        let index = self.rooms.entry(room).or_default();
        index.files.insert(file.digest, file);
        index.file_bytes += u128::from(file.size);
        *self.bytes_of.entry(file.uploader).or_default() += u128::from(file.size);
        self.files += 1;
    }

    pub(super) fn remove_file(&mut self, room: &RoomId, digest: &BlobDigest) {
        let Some(index) = self.rooms.get_mut(room) else { return };
        let Some(file) = index.files.remove(digest) else { return };
        index.file_bytes -= u128::from(file.size);
        self.forget_bytes(&file);
    }

    fn forget_bytes(&mut self, file: &BlobRecord) {
        self.files -= 1;
        if let Some(bytes) = self.bytes_of.get_mut(&file.uploader) {
            *bytes -= u128::from(file.size);
            if *bytes == 0 {
                self.bytes_of.remove(&file.uploader);
            }
        }
    }

    pub(super) fn delete_room(&mut self, room: RoomId) {
        if let Some(index) = self.rooms.remove(&room) {
            for file in index.files.values() {
                self.forget_bytes(file);
            }
        }
        self.deleted.insert(room);
    }

    pub(super) fn set_moving(&mut self, moving: bool) {
        self.moving = moving;
        // Its beginning may have been replaced in the bucket by then, and was not read.
        self.ended_moves += u64::from(!moving);
    }

    pub(super) fn mark_first_start(&mut self) {
        self.first_start = true;
    }

    pub(super) fn put_node(&mut self, name: NodeName, revision: u64, text: String) {
        self.nodes.insert(name, (revision, text));
        if self.nodes.len() <= MAX_NODES {
            return;
        }
        // Whoever lives says something all the time.
        let oldest =
            self.nodes.iter().min_by_key(|(_, (revision, _))| *revision).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            tracing::error!(node = %oldest, limit = MAX_NODES, "there are too many nodes: one is forgotten");
            self.nodes.remove(&oldest);
        }
    }
}
