//! Why the store said no: what a caller can handle, apart from what only an operator can.
//!
//! No text here names a path, a statement of SQL or a key: a caller may show it to a stranger. The
//! causes behind [`StoreError::Unavailable`] and [`StoreError::Corrupt`] are logged where they occur.

use std::fmt;

use busauth::UserId;
use room_protocol::{Head, RoomSubject};
use tokio::task::JoinError;

use crate::record::RecordError;

/// Why an operation on the store did not happen. Nothing of a failed write is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The user, room or entry does not exist (a deleted room does not exist). Final.
    #[error("not found")]
    NotFound,
    /// The write contradicts what is stored; the variant says with what.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A configured bound is reached. An operator must raise it or delete something.
    #[error("the store is full: no more than {0}")]
    Full(Bound),
    /// What is to be stored is larger than the backend takes in one piece.
    #[error("this takes {bytes} bytes, and the store keeps no more than {limit} in one piece")]
    TooLarge {
        /// Bytes of what was to be stored.
        bytes: usize,
        /// The most that can be.
        limit: usize,
    },
    /// The disk or the backend cannot answer now (full, read-only, gone). Retry later; the cause is in the log.
    /// Where the backend is reached over a network, the write may have happened: it is in the view then.
    #[error("the store is not available")]
    Unavailable,
    /// What is stored cannot be read back as what was written. An operator must restore a backup.
    #[error("the store is damaged")]
    Corrupt,
}

/// What a refused write contradicts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// This user id is on the allowlist already, or was once and is revoked. Final.
    #[error("this user exists already")]
    UserExists,
    /// The handle belongs, or once belonged, to somebody else: choose another. Handles are never reused.
    #[error("this handle is taken")]
    HandleTaken,
    /// The login key belongs to another user. Final.
    #[error("this login key belongs to another user")]
    LoginKeyTaken,
    /// The user is revoked; a revoked user cannot be changed any more. Final.
    #[error("this user is revoked")]
    UserRevoked,
    /// The bus would be left without an active admin: make another user admin first.
    #[error("the last active admin cannot be revoked or demoted")]
    LastAdmin,
    /// A room with this id exists, or existed and was deleted: a `create` statement is good for one room. Final.
    #[error("this room exists already, or existed once")]
    RoomExists,
    /// The subject equals, contains or lies below that of another room: choose another.
    #[error("the subject overlaps that of another room")]
    SubjectOverlaps(RoomSubject),
    /// The log is longer than the caller knew: read it up to this head, rebuild the statement, try again.
    #[error("the room's log has moved on to entry {}", .0.seq)]
    HeadMoved(Head),
    /// The statement makes somebody a member who was never on the allowlist: admit them first.
    #[error("{0} is not a user of this bus")]
    UnknownMember(UserId),
    /// The statement adds somebody who is revoked. Final.
    #[error("{0} is revoked")]
    MemberRevoked(UserId),
    /// The recipient of a sealed key is not a member of the room.
    #[error("the recipient is not a member of this room")]
    NotAMember,
    /// The files of the room would take more than it may have: delete some.
    #[error(
        "the files of this room take {used} of {quota} bytes: there is no room for this one, delete others first"
    )]
    RoomBlobsFull {
        /// Bytes that are taken.
        used: u64,
        /// Bytes that there may be.
        quota: u64,
    },
    /// The files of the user would take more than a user may have: delete some.
    #[error("your files take {used} of {quota} bytes: there is no room for this one, delete others first")]
    UserBlobsFull {
        /// Bytes that are taken.
        used: u64,
        /// Bytes that there may be.
        quota: u64,
    },
    /// A sealed key is for an epoch that the room never had.
    #[error("the room has no epoch {0}")]
    UnknownEpoch(u64),
}

/// Logs what was found and answers that the store is damaged.
pub(crate) fn damaged(found: &dyn fmt::Display) -> StoreError {
    tracing::error!(%found, "the membership store is damaged");
    StoreError::Corrupt
}

/// Logs that a job came to no end of its own, as when everything stops, and answers that nothing can be said now.
pub(crate) fn job_ended(error: &JoinError) -> StoreError {
    tracing::error!(%error, "a job of the membership store ended unexpectedly");
    StoreError::Unavailable
}

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        damaged(&error)
    }
}

/// A bound of what is kept in memory (see [`crate::ViewLimits`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Users, revoked ones included.
    Users(usize),
    /// Rooms that are not deleted.
    Rooms(usize),
    /// Rooms whose messages are kept: each takes something of the data plane, whether or not anybody uses it.
    DurableRooms(usize),
    /// Memberships of all rooms together.
    Memberships(usize),
    /// Files of all rooms together.
    Files(usize),
    /// Rooms that were deleted: something of each stays for ever.
    DeletedRooms(usize),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(n) => write!(f, "{n} users"),
            Self::Rooms(n) => write!(f, "{n} rooms"),
            Self::DurableRooms(n) => write!(f, "{n} rooms with history"),
            Self::Memberships(n) => write!(f, "{n} memberships"),
            Self::Files(n) => write!(f, "{n} files"),
            Self::DeletedRooms(n) => write!(f, "{n} deleted rooms"),
        }
    }
}
