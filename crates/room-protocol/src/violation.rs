//! The rules of a membership log, one variant each.

use busauth::{CertificateError, Handle, UserId};

use crate::{head::EntryHash, room_id::RoomId};

/// Why a statement cannot be the next entry of a room's log.
///
/// A server answers it to the author; a client that finds one in a log that a server offers has caught the
/// server lying (or serving what another liar wrote) and stops there. A statement that breaks several rules
/// is answered with one of them: chain before author, author before member, member before epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    // The first entry.
    /// The log starts with something else than `create`.
    #[error("a log starts with `create`")]
    NotACreate,
    /// The first entry does not have number 1.
    #[error("the first entry has number {found} instead of 1")]
    FirstSeq {
        /// Its number.
        found: u64,
    },
    /// The first entry names a room, although its own hash makes the room's id.
    #[error("the first entry names a room")]
    FirstRoom,
    /// The first entry names an entry before it.
    #[error("the first entry names an entry before it")]
    FirstPrevious,

    // The chain.
    /// `create` in a room that exists.
    #[error("`create` can only be the first entry")]
    SecondCreate,
    /// The statement is about another room.
    #[error("the statement is not about room {expected}")]
    OtherRoom {
        /// The room of this log.
        expected: RoomId,
    },
    /// A number is left out or used again. The author's view of the log is old: rebuild on the present head.
    #[error("the next entry has number {expected}, not {found}")]
    WrongSeq {
        /// Number of the next entry.
        expected: u64,
        /// Number in the statement.
        found: u64,
    },
    /// The statement follows another entry than the last one: it belongs to another history of the room.
    #[error("the statement does not follow entry {expected}")]
    WrongPrevious {
        /// Hash of the log's last entry.
        expected: EntryHash,
    },
    /// Dated before the entry before it.
    #[error("the statement is dated {found}, before the entry before it ({previous})")]
    BackInTime {
        /// Date of the log's last entry, Unix milliseconds.
        previous: u64,
        /// Date in the statement.
        found: u64,
    },

    // Who speaks.
    /// The room is closed; all that is left is to leave it.
    #[error("the room is closed")]
    RoomClosed,
    /// The author is not a member.
    #[error("the author {0} is not a member of the room")]
    NotAMember(UserId),
    /// The author is a member but only owners may do this.
    #[error("the author {0} is not an owner of the room")]
    NotAnOwner(UserId),

    // Members.
    /// The user is a member already.
    #[error("{0} is a member already")]
    AlreadyMember(UserId),
    /// Another member of the room has this handle.
    #[error("the handle {0} is taken in this room")]
    HandleTaken(Handle),
    /// Login and exchange key are not certified by the user's signing key: somebody tries to swap them.
    #[error("the keys of {user} are not certified by that user: {cause}")]
    BadCertificates {
        /// The user whose keys they are said to be.
        user: UserId,
        /// Which key.
        cause: CertificateError,
    },
    /// No room for one more. A removal is never refused for size.
    #[error("the room is full: at most {limit} members")]
    RoomFull {
        /// The bound that applies.
        limit: u64,
    },
    /// The statement changes or removes somebody who is not a member.
    #[error("{0} is not a member of the room")]
    NoSuchMember(UserId),
    /// The member has this role already.
    #[error("{0} has this role already")]
    RoleUnchanged(UserId),
    /// The last owner cannot be demoted, removed or leave: make somebody else an owner first, or close the
    /// room.
    #[error("{0} is the only owner; a room always has one")]
    LastOwner(UserId),

    // Epochs.
    /// This operation has to open an epoch and does not.
    #[error("the operation has to open epoch {expected}")]
    EpochMissing {
        /// Number of the epoch to open.
        expected: u64,
    },
    /// This operation opens an epoch and must not: the room is not encrypted, or the author's word about the
    /// next key does not count here.
    #[error("the operation must not open an epoch")]
    EpochNotAllowed,
    /// The epoch's number is not the next one.
    #[error("the next epoch has number {expected}, not {found}")]
    WrongEpoch {
        /// Number of the next epoch.
        expected: u64,
        /// Number in the statement.
        found: u64,
    },
}
