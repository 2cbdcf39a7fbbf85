//! Names: of buckets, and of the keys in them.

use std::fmt;
use std::str::FromStr;

use busauth::UserId;
use room_protocol::{BlobDigest, RoomId};

#[cfg(test)]
mod tests;

/// A key of the bucket that decides access.
///
/// What a message of another key may name is in a key that is written once and stays: whoever reads the bucket in
/// its order, from whatever point, meets a user before its memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// A user as admitted. Written once.
    User(UserId),
    /// The role that a user has had since.
    UserRole(UserId),
    /// The revocation of a user. Written once.
    UserRevoked(UserId),
    /// An entry of a room's log, with what it changes. Written once; gone with the room.
    Entry(RoomId, u64),
    /// Whether a room is frozen, since an admin decided.
    Frozen(RoomId),
    /// A file in a room, or that it is there no more.
    File(RoomId, BlobDigest),
    /// What stays of a deleted room. Written once.
    Deleted(RoomId),
    /// The bus was set up. Written once.
    FirstStart,
    /// Whether a bus is being moved in.
    Moving,
    /// Nothing; its place in the order tells how far a view has come.
    Barrier,
    /// What a node says of itself.
    Node(NodeName),
}

impl Key {
    /// The first entry of every room.
    pub(super) const FIRST_ENTRIES: &str = "room.*.log.0000000001";

    /// Reads a key. `None` is one that this program does not know.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('.');
        let (kind, rest) = (words.next()?, words.collect::<Vec<_>>());
        Some(match (kind, &rest[..]) {
            ("user", [id]) => Self::User(id.parse().ok()?),
            ("user", [id, "role"]) => Self::UserRole(id.parse().ok()?),
            ("user", [id, "revoked"]) => Self::UserRevoked(id.parse().ok()?),
            ("room", [id, "log", seq]) => Self::Entry(id.parse().ok()?, seq.parse().ok()?),
            ("room", [id, "frozen"]) => Self::Frozen(id.parse().ok()?),
            ("room", [id, "file", digest]) => Self::File(id.parse().ok()?, digest.parse().ok()?),
            ("deleted", [id]) => Self::Deleted(id.parse().ok()?),
            ("fact", ["first_start"]) => Self::FirstStart,
            ("fact", ["moving"]) => Self::Moving,
            ("barrier", []) => Self::Barrier,
            ("node", [name]) => Self::Node(name.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user.{id}"),
            Self::UserRole(id) => write!(f, "user.{id}.role"),
            Self::UserRevoked(id) => write!(f, "user.{id}.revoked"),
            Self::Entry(room, seq) => write!(f, "room.{room}.log.{seq:010}"),
            Self::Frozen(room) => write!(f, "room.{room}.frozen"),
            Self::File(room, digest) => write!(f, "room.{room}.file.{digest}"),
            Self::Deleted(room) => write!(f, "deleted.{room}"),
            Self::FirstStart => f.write_str("fact.first_start"),
            Self::Moving => f.write_str("fact.moving"),
            Self::Barrier => f.write_str("barrier"),
            Self::Node(name) => write!(f, "node.{name}"),
        }
    }
}

/// The name of a node: one word of at most 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// The text cannot be the name of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a node is one word of at most 64 letters, digits, - and _")]
pub struct NodeNameError;

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        if is_word(text) { Ok(Self(text.to_owned())) } else { Err(NodeNameError) }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a text can be part of a name, and one word of a key.
fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

/// The names of a store's buckets, all with the same prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// What decides access, in one order.
    pub(super) ctl: String,
    /// Sealed keys and snapshots: read when they are asked for.
    pub(super) keys: String,
    /// The audit.
    pub(super) audit: String,
}

impl Names {
    /// The names with this prefix; `None` when it cannot be part of a name.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        if !is_word(prefix) {
            return None;
        }
        Some(Self {
            ctl: format!("{prefix}_ctl"),
            keys: format!("{prefix}_keys"),
            audit: format!("{prefix}_audit"),
        })
    }
}

/// The stream behind a bucket, as every NATS client names it.
pub(super) fn stream_of(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// What comes before a key of a bucket in a subject, as every NATS client has it.
pub(super) fn prefix_of(bucket: &str) -> String {
    format!("$KV.{bucket}.")
}
