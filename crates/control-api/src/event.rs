//! Hints that the control plane publishes on the data plane.
//!
//! Nobody signs them and nothing is believed because one said so: they only tell a client what to fetch and
//! verify. A missed hint costs time, never truth.

use busauth::UserId;
use room_protocol::RoomId;
use serde::{Deserialize, Serialize};

/// Something changed in a room; sent on [`crate::subjects::room_event`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RoomEvent {
    /// The membership log grew.
    Log {
        /// The room.
        room: RoomId,
        /// The sequence number of its last entry.
        head_seq: u64,
    },
    /// A member was revoked on the bus; an owner now removes it from the room.
    Revoked {
        /// The room.
        room: RoomId,
        /// Who was revoked.
        user: UserId,
    },
    /// An admin froze the room, or lifted that.
    Frozen {
        /// The room.
        room: RoomId,
        /// Whether it is frozen now.
        frozen: bool,
    },
    /// The room is gone.
    Deleted {
        /// The room.
        room: RoomId,
    },
    /// Sealed keys were added for a member.
    Keys {
        /// The room.
        room: RoomId,
        /// Who can open them.
        user: UserId,
    },
    /// Something that this version does not know: fetch what you hold of the room.
    #[serde(other)]
    Unknown,
}

/// Something changed for one user; sent on [`crate::subjects::user_event`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserEvent {
    /// Added to a room.
    Added {
        /// The room.
        room: RoomId,
    },
    /// No longer a member of a room.
    Removed {
        /// The room.
        room: RoomId,
    },
    /// A room the user is a member of is gone.
    Deleted {
        /// The room.
        room: RoomId,
    },
    /// The role on the bus changed.
    Role,
    /// Revoked on the bus.
    Revoked,
    /// Something that this version does not know: fetch `/v1/me`.
    #[serde(other)]
    Unknown,
}
