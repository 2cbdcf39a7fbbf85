//! Why a receiver does not accept a message.

use busauth::UserId;

use super::HeaderError;
use crate::{head::Head, log::Fork};

/// Why a message is not accepted. Each is shown to the application or the person as what it is; none is
/// dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageRejection {
    /// The headers are not those of a message.
    #[error(transparent)]
    Headers(#[from] HeaderError),
    /// A message without our headers in a room where every message is signed.
    #[error("the message is not signed")]
    Unsigned,
    /// The signature is not that of the user in `Unibus-From` over this message.
    #[error("the message's signature is not that of its sender")]
    BadSignature,
    /// The signature is for a message of another room than the log that it is checked against.
    #[error("the message belongs to another room")]
    OtherRoom,
    /// Neither within the room's subject nor one of its reply subjects.
    #[error("the message's subject is not one of the room's")]
    OutsideRoom,
    /// The sender knew a later entry than we do. Fetch the log and check again; if the server does not
    /// deliver it, it withholds the log.
    #[error("the sender knew entry {} of the room's log, which is not here", .0.seq)]
    HeadUnknown(Head),
    /// The sender has another history of the room than we do.
    #[error(transparent)]
    Forked(#[from] Fork),
    /// The sender was not a member at the head it names.
    #[error("the sender {0} was not a member of the room")]
    NotAMember(UserId),
    /// The sender was a member but not one that may write.
    #[error("the sender {0} was not allowed to write in the room")]
    NotAWriter(UserId),
    /// The room was closed at the head the message names.
    #[error("the room was closed when the message was written")]
    RoomClosed,
    /// The room is encrypted and the message names no epoch.
    #[error("the message is not encrypted, in an encrypted room")]
    NotEncrypted,
    /// The room is not encrypted and the message names an epoch.
    #[error("the message names an epoch, in a room that has none")]
    UnexpectedEpoch,
    /// The epoch is not the one that was open at the head the message names.
    #[error("the message is of epoch {found}, but epoch {expected} was open when it was written")]
    WrongEpoch {
        /// The epoch that was open.
        expected: u64,
        /// The epoch that the message names.
        found: u64,
    },
    /// Written on a state that has since been replaced (its sender may no longer write, or a newer epoch is
    /// open), and that was learned too long ago for a message still to be on its way.
    #[error(
        "the message was written before entry {since} of the room's log, which changed who may read or write"
    )]
    Superseded {
        /// The entry.
        since: u64,
    },
    /// The sender has already shown a later head.
    #[error("the sender named entry {highest} of the room's log before, and now entry {found}")]
    HeadWentBack {
        /// The highest entry seen from this sender.
        highest: u64,
        /// The entry that this message names.
        found: u64,
    },
    /// The message's time is more than five minutes from ours: an old message, or a clock that is wrong.
    #[error("the message's time is {0} ms away from ours")]
    OutsideWindow(u64),
    /// The message was received before.
    #[error("the message was received before")]
    Replayed,
    /// We have no key, or the wrong one, for the message's epoch. Fetch sealed keys and open it again.
    #[error("the key of epoch {0} is not here")]
    KeyMissing(u64),
    /// The payload cannot be decrypted with the epoch's key.
    #[error("the payload cannot be decrypted with the key of its epoch")]
    Undecryptable,
}
