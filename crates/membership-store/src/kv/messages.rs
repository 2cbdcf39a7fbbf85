//! The stored form of what is in the buckets: versioned JSON, one message for one change.

use busauth::UserId;
use room_protocol::{RoomRole, SealedFor, SealedKey};
use serde::{Deserialize, Serialize};

use crate::record::RoomHeader;
use crate::{BlobRecord, BusRole};

/// The role that a user has had since.
#[derive(Serialize, Deserialize)]
pub(super) struct RoleMessage {
    pub(super) role: BusRole,
}

/// The revocation of a user. The rooms that lose their last active owner by it are frozen by whoever applies it:
/// named here, they could make a revocation too large to be sent.
#[derive(Serialize, Deserialize)]
pub(super) struct RevokedMessage {
    pub(super) at: u64,
}

/// An entry of a room's log with everything that it changes, so that a view follows without reading statements.
#[derive(Serialize, Deserialize)]
pub(super) struct EntryMessage {
    pub(super) jws: String,
    pub(super) room: RoomHeader,
    /// New members, and members with a new role.
    pub(super) set: Vec<(UserId, RoomRole)>,
    /// Those who are members no more.
    pub(super) removed: Vec<UserId>,
    pub(super) seals: Option<SealsMessage>,
}

/// Where the keys are that were sealed with an entry.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SealsMessage {
    pub(super) epoch: u64,
    pub(super) place: SealsPlace,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SealsPlace {
    /// One key, here.
    One(SealedFor),
    /// A set in the bucket of keys that was written before.
    Set { id: String, parts: u16 },
}

/// Whether a room is frozen.
#[derive(Serialize, Deserialize)]
pub(super) struct FrozenMessage {
    pub(super) frozen: bool,
}

/// A file in a room; `None` is one that was removed.
#[derive(Serialize, Deserialize)]
pub(super) struct FileMessage {
    pub(super) file: Option<StoredFile>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredFile {
    pub(super) size: u64,
    pub(super) uploader: UserId,
    pub(super) at: u64,
}

impl From<&BlobRecord> for StoredFile {
    fn from(blob: &BlobRecord) -> Self {
        Self { size: blob.size, uploader: blob.uploader, at: blob.at }
    }
}

/// When the bus was set up.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstStartMessage {
    pub(super) at: u64,
}

/// Whether a bus is being moved in.
#[derive(Serialize, Deserialize)]
pub(super) struct MovingMessage {
    pub(super) moving: bool,
}

/// Nothing.
#[derive(Serialize, Deserialize)]
pub(super) struct BarrierMessage {}

/// Keys that were added for a member after their epochs had begun.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct AddedKeysMessage {
    pub(super) keys: Vec<AddedKey>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct AddedKey {
    pub(super) epoch: u64,
    /// The length of the room's log when the key was added: keys sealed with later entries replace it.
    pub(super) log: u64,
    pub(super) sealed: SealedKey,
}

/// A part of a snapshot of a room's state.
#[derive(Serialize, Deserialize)]
pub(super) struct SnapshotMessage {
    /// Parts of one snapshot have the same.
    pub(super) id: String,
    pub(super) parts: u16,
    pub(super) text: String,
}

/// An audit record.
#[derive(Serialize, Deserialize)]
pub(super) struct AuditMessage {
    pub(super) at: u64,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) target: Option<String>,
    pub(super) detail: Option<String>,
}
