//! What a member can say about a room: the payload of a log entry.
//!
//! JSON `{ "v": 1, "room", "seq", "prev", "at", "op" }`, where `op` is an object with exactly one member that
//! names the operation. The first entry's `room` and `prev` are empty strings. A statement holds only
//! objects, strings and non-negative integers; a member that may be absent is left out, never `null`.

use std::{borrow::Cow, fmt::Display, num::NonZeroU64, str::FromStr};

use busauth::{Certificates, ExchangeKey, Handle, Identity, IdentityCard, LoginKey, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    epoch::Epoch,
    head::{EntryHash, MAX_NUMBER},
    jws::SignedStatement,
    room_id::RoomId,
    room_name::RoomName,
    room_subject::RoomSubject,
};

/// The version of the statements that this code reads and writes. A log with another one stops the client at
/// that entry.
pub const STATEMENT_VERSION: u64 = 1;

/// Whether the server can read a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Messages are encrypted to the members.
    E2e,
    /// Messages are readable by the server and by plain NATS clients with access.
    None,
}

/// What somebody who joins a room may read of what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Nothing: in an encrypted room every newcomer opens a new epoch.
    None,
    /// Everything: newcomers get the current epoch's key and the older ones.
    Shared,
}

/// What a member may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomRole {
    /// Reads.
    Reader,
    /// Reads and writes.
    Writer,
    /// Reads, writes and changes the room and its members.
    Owner,
}

impl RoomRole {
    /// Whether messages of a member with this role are accepted.
    pub fn may_write(self) -> bool {
        self >= Self::Writer
    }
}

/// Bounds that a room's owners set. What is absent is bounded by the server alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomLimits {
    /// Most members; checked when one is added, so that lowering it never stands in the way of a removal.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub members: Option<NonZeroU64>,
    /// How long stored messages are kept, in seconds.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub age: Option<NonZeroU64>,
    /// Most bytes of stored messages.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bytes: Option<NonZeroU64>,
    /// Most stored messages.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub messages: Option<NonZeroU64>,
    /// Most stored messages on one subject.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub messages_per_subject: Option<NonZeroU64>,
}

/// The first owner of a room: the author of its `create` statement, whose id stands in the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstOwner {
    /// What the room calls its first owner.
    pub handle: Handle,
    /// The key the owner logs in with.
    pub login: LoginKey,
    /// The key that room keys are sealed to.
    pub exchange: ExchangeKey,
    /// The owner's word for both keys.
    pub certificates: Certificates,
}

impl FirstOwner {
    /// The identity that makes a room, under this handle.
    pub fn new(identity: &Identity, handle: Handle) -> Self {
        Self {
            handle,
            login: identity.login_key(),
            exchange: identity.exchange_key(),
            certificates: identity.certificates(),
        }
    }
}

/// One change to a room. In JSON an object with one member: `{ "add": { … } }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Makes the room; only as the first entry. The author becomes its owner.
    Create {
        /// Where the room's messages are.
        subject: RoomSubject,
        /// What people call the room.
        name: RoomName,
        /// Whether the server can read it; never changes.
        encryption: Encryption,
        /// What newcomers may read; never changes.
        history: History,
        /// Bounds, possibly none.
        limits: RoomLimits,
        /// The author as a member.
        owner: FirstOwner,
        /// Epoch 1, exactly when the room is encrypted.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
    /// Adds a member; owners only.
    Add {
        /// The newcomer's id.
        user: UserId,
        /// What the room calls the newcomer; unique within the room.
        handle: Handle,
        /// The newcomer's login key.
        login: LoginKey,
        /// The key that room keys are sealed to.
        exchange: ExchangeKey,
        /// The newcomer's word for both keys.
        certificates: Certificates,
        /// What the newcomer may do.
        role: RoomRole,
        /// The next epoch, exactly when the room is encrypted and keeps its history from newcomers.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
    /// Changes what a member may do; owners only.
    SetRole {
        /// The member.
        user: UserId,
        /// The new role, another than the present one.
        role: RoomRole,
    },
    /// Removes a member; an owner, or the member itself (it leaves).
    Remove {
        /// The member.
        user: UserId,
        /// The next epoch, exactly when the room is encrypted and an owner removes somebody else.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
    /// Opens the next epoch of an encrypted room; owners only.
    Rekey {
        /// The next epoch.
        epoch: Epoch,
    },
    /// Replaces name and bounds; owners only.
    Update {
        /// The new name.
        name: RoomName,
        /// The new bounds.
        limits: RoomLimits,
    },
    /// Ends the room's traffic for good; owners only.
    Close {},
}

impl Op {
    /// The operation's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Add { .. } => "add",
            Self::SetRole { .. } => "set_role",
            Self::Remove { .. } => "remove",
            Self::Rekey { .. } => "rekey",
            Self::Update { .. } => "update",
            Self::Close {} => "close",
        }
    }

    /// Adds the owner of this card under `handle`.
    pub fn add(card: &IdentityCard, handle: Handle, role: RoomRole, epoch: Option<Epoch>) -> Self {
        Self::Add {
            user: card.id,
            handle,
            login: card.login,
            exchange: card.exchange,
            certificates: card.certificates,
            role,
            epoch,
        }
    }

    /// The epoch that this operation opens, if any.
    pub fn epoch(&self) -> Option<&Epoch> {
        match self {
            Self::Create { epoch, .. } | Self::Add { epoch, .. } | Self::Remove { epoch, .. } => {
                epoch.as_ref()
            }
            Self::Rekey { epoch } => Some(epoch),
            Self::SetRole { .. } | Self::Update { .. } | Self::Close {} => None,
        }
    }
}

/// The names of all operations; any other name stops the reader.
pub(crate) const OP_NAMES: [&str; 7] = ["create", "add", "set_role", "remove", "rekey", "update", "close"];

/// One entry of a room's log before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub struct Statement {
    /// The room; `None` in the first entry, whose hash makes the id.
    pub room: Option<RoomId>,
    /// Number of the entry, counted from 1.
    pub seq: u64,
    /// Hash of the entry before; `None` in the first.
    pub prev: Option<EntryHash>,
    /// When the author says it was made: Unix time in milliseconds, never before the entry before it.
    pub at: u64,
    /// The change.
    pub op: Op,
}

impl Statement {
    /// The first statement of a new room; `op` is a [`Op::Create`]. Later ones come from
    /// [`crate::RoomState::next_statement`].
    pub fn first(op: Op, at: u64) -> Self {
        Self { room: None, seq: 1, prev: None, at: at.min(MAX_NUMBER), op }
    }

    /// Signs the statement: what comes out can be appended to the log.
    pub fn sign(self, author: &Identity) -> SignedStatement {
        SignedStatement::sign(self, author)
    }

    /// Whether the author's clock is so far ahead of `now` (both Unix milliseconds) that a server should not
    /// take the entry.
    ///
    /// Not a rule of the log: who reads the log later has another clock. Old statements are welcome, since a
    /// client that holds more entries than the server offers them again.
    pub fn is_from_the_future(&self, now: u64) -> bool {
        self.at > now.saturating_add(MAX_AHEAD_MS)
    }
}

/// How far an author's clock may be ahead of the server's.
const MAX_AHEAD_MS: u64 = 10 * 60 * 1000;

/// The JSON form of a statement.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    room: OrEmpty<RoomId>,
    seq: u64,
    prev: OrEmpty<EntryHash>,
    at: u64,
    op: Op,
}

impl From<Statement> for Wire {
    fn from(statement: Statement) -> Self {
        let Statement { room, seq, prev, at, op } = statement;
        Self { v: STATEMENT_VERSION, room: OrEmpty(room), seq, prev: OrEmpty(prev), at, op }
    }
}

impl TryFrom<Wire> for Statement {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let Wire { v, room, seq, prev, at, op } = wire;
        if v != STATEMENT_VERSION {
            return Err("a statement of another version");
        }
        Ok(Self { room: room.0, seq, prev: prev.0, at, op })
    }
}

/// A value's text, or the empty string where the first entry of a log has none.
#[derive(Clone)]
struct OrEmpty<T>(Option<T>);

impl<T: Display> Serialize for OrEmpty<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_str(""),
        }
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for OrEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        if text.is_empty() {
            Ok(Self(None))
        } else {
            text.parse().map(|value| Self(Some(value))).map_err(D::Error::custom)
        }
    }
}

/// Reads a member that may be absent but not `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
