//! The stored form of records: JSON with a version, the same on every backend.
//!
//! Model types are not stored as they are, so that the model can change without a change on disk. A
//! version that this code does not know is refused, not guessed at.

use busauth::{Certificates, ExchangeKey, Handle, LoginKey, UserId};
use room_protocol::{Encryption, Head, History, RoomId, RoomName, RoomRole, RoomState, RoomSubject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{BusRole, RoomAccess, Tombstone, User};

/// The version that is written; the only one there has been.
const VERSION: u16 = 1;

/// Why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Written by a newer program.
    #[error("record version {0} is not known to this program")]
    Version(u16),
    /// Not what this program writes.
    #[error("malformed record: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u16,
    data: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u16,
}

/// A record as JSON.
pub(crate) fn encode<T: Serialize>(data: &T) -> Result<String, RecordError> {
    Ok(serde_json::to_string(&Versioned { v: VERSION, data })?)
}

/// A record from JSON.
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, RecordError> {
    match serde_json::from_str::<Versioned<T>>(text) {
        Ok(Versioned { v: VERSION, data }) => Ok(data),
        Ok(Versioned { v, .. }) => Err(RecordError::Version(v)),
        Err(malformed) => match serde_json::from_str::<VersionOnly>(text) {
            Ok(VersionOnly { v }) if v != VERSION => Err(RecordError::Version(v)),
            _ => Err(malformed.into()),
        },
    }
}

/// A user as stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct UserRecord {
    id: UserId,
    handle: Handle,
    login: LoginKey,
    exchange: ExchangeKey,
    certificates: Certificates,
    role: BusRole,
    created: u64,
    revoked: Option<u64>,
}

impl From<&User> for UserRecord {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            handle: user.handle.clone(),
            login: user.login,
            exchange: user.exchange,
            certificates: user.certificates,
            role: user.role,
            created: user.created,
            revoked: user.revoked,
        }
    }
}

impl From<UserRecord> for User {
    fn from(record: UserRecord) -> Self {
        Self {
            id: record.id,
            handle: record.handle,
            login: record.login,
            exchange: record.exchange,
            certificates: record.certificates,
            role: record.role,
            created: record.created,
            revoked: record.revoked,
        }
    }
}

/// A room's summary as stored: what the view is loaded from.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoomHeader {
    id: RoomId,
    subject: RoomSubject,
    name: RoomName,
    encryption: Encryption,
    history: History,
    epoch: Option<u64>,
    head: Head,
    frozen: bool,
    closed: bool,
    created: u64,
}

impl From<&RoomAccess> for RoomHeader {
    fn from(room: &RoomAccess) -> Self {
        Self {
            id: room.id,
            subject: room.subject.clone(),
            name: room.name.clone(),
            encryption: room.encryption,
            history: room.history,
            epoch: room.epoch,
            head: room.head,
            frozen: room.frozen,
            closed: room.closed,
            created: room.created,
        }
    }
}

impl From<RoomHeader> for RoomAccess {
    fn from(header: RoomHeader) -> Self {
        Self {
            id: header.id,
            subject: header.subject,
            name: header.name,
            encryption: header.encryption,
            history: header.history,
            epoch: header.epoch,
            head: header.head,
            frozen: header.frozen,
            closed: header.closed,
            created: header.created,
        }
    }
}

/// What stays of a deleted room, as stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct TombstoneRecord {
    head: Head,
    last: String,
    deleted: u64,
}

impl From<&Tombstone> for TombstoneRecord {
    fn from(tombstone: &Tombstone) -> Self {
        Self { head: tombstone.head, last: tombstone.last.clone(), deleted: tombstone.deleted }
    }
}

impl From<TombstoneRecord> for Tombstone {
    fn from(record: TombstoneRecord) -> Self {
        Self { head: record.head, last: record.last, deleted: record.deleted }
    }
}

/// A snapshot of a room's state.
pub(crate) fn encode_state(state: &RoomState) -> Result<String, RecordError> {
    encode(state)
}

/// A room's state from its snapshot.
pub(crate) fn decode_state(text: &str) -> Result<RoomState, RecordError> {
    decode(text)
}

/// The stored word for a role in a room.
pub(crate) fn role_word(role: RoomRole) -> &'static str {
    match role {
        RoomRole::Owner => "owner",
        RoomRole::Writer => "writer",
        RoomRole::Reader => "reader",
    }
}

/// A role in a room from its stored word.
pub(crate) fn role_of_word(word: &str) -> Option<RoomRole> {
    match word {
        "owner" => Some(RoomRole::Owner),
        "writer" => Some(RoomRole::Writer),
        "reader" => Some(RoomRole::Reader),
        _ => None,
    }
}
