//! Rooms, their membership logs and sealed keys in JSON.

use busauth::{Handle, UserId};
use room_protocol::{
    Encryption, Head, History, RoomId, RoomRole, RoomSubject, SealedFor, SealedKey, SignedStatement,
};
use serde::{Deserialize, Serialize};

use crate::{timestamp::Timestamp, users::UserInfo};

/// The answer to `GET /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The caller.
    pub user: UserInfo,
    /// The rooms the caller is a member of, by id.
    pub rooms: Vec<RoomSummary>,
}

/// A room without its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// The room's id: derived from the first entry of its log.
    pub id: RoomId,
    /// The subject space that the room covers.
    pub subject: RoomSubject,
    /// The room's name, as its log says.
    pub name: String,
    /// The caller's role in it; absent for an admin of the bus who is not a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoomRole>,
    /// Whether its messages are encrypted.
    pub encryption: Encryption,
    /// Whether newcomers may read what came before.
    pub history: History,
    /// The current epoch, in an encrypted room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The log's last entry.
    pub head: Head,
    /// No traffic, until an admin lifts it.
    pub frozen: bool,
    /// No traffic any more.
    pub closed: bool,
    /// When the room was created.
    pub created: Timestamp,
}

/// A room with its members: the answer to `POST /v1/rooms`, `GET` and `PATCH /v1/rooms/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomInfo {
    /// The room.
    #[serde(flatten)]
    pub room: RoomSummary,
    /// Its members, by user id; empty for an admin of the bus who is not a member.
    pub members: Vec<MemberInfo>,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// The user.
    pub user: UserId,
    /// What the room's log calls the user.
    pub handle: Handle,
    /// The role in the room.
    pub role: RoomRole,
    /// Whether the user is revoked on the bus; owners then remove it from the room.
    #[serde(default)]
    pub revoked: bool,
}

/// The body of `POST /v1/rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRoom {
    /// The `create` statement, a compact JWS.
    pub statement: String,
    /// The first epoch's key, sealed to the creator; encrypted rooms only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<SealedFor>,
}

/// The answer to `GET /v1/rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rooms {
    /// Rooms by id: the caller's, or all for an admin who asks with `?all=true`.
    pub rooms: Vec<RoomSummary>,
    /// What to pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RoomId>,
}

/// The body of `PATCH /v1/rooms/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomPatch {
    /// Whether the room's traffic is stopped.
    pub frozen: bool,
}

/// The body of `POST /v1/rooms/{id}/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// The statement, a compact JWS, built on the head that the author knows.
    pub statement: String,
    /// Keys of the epoch that is current after the statement, sealed to those who need them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<SealedFor>,
}

/// The answer to `POST /v1/rooms/{id}/log`. On `log_conflict` the problem has the `head` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The log's last entry now.
    pub head: Head,
}

/// The answer to `GET /v1/rooms/{id}/log?from=&limit=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Entries (compact JWS) from `from` on, in order; ask again from behind the last one until `head` is reached.
    pub entries: Vec<String>,
    /// The log's last entry.
    pub head: Head,
}

/// The answer to `GET /v1/rooms/{id}/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The caller's keys, by epoch.
    pub keys: Vec<EpochKeyCopy>,
    /// What to pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// An epoch's key, sealed to one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochKeyCopy {
    /// The epoch's number.
    pub epoch: u64,
    /// The sealed key.
    pub sealed: SealedKey,
}

/// The body of `PUT /v1/rooms/{id}/keys`: an owner seals older epochs to a newcomer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutKeys {
    /// The member that can open them.
    pub user: UserId,
    /// The keys.
    pub keys: Vec<EpochKeyCopy>,
}

impl NewRoom {
    /// A room made by this statement, with the first epoch's key sealed to its creator.
    pub fn new(statement: &SignedStatement, keys: Vec<SealedFor>) -> Self {
        Self { statement: statement.as_str().to_owned(), keys }
    }
}

impl Append {
    /// This statement, with the sealed keys that it has to carry.
    pub fn new(statement: &SignedStatement, keys: Vec<SealedFor>) -> Self {
        Self { statement: statement.as_str().to_owned(), keys }
    }
}
