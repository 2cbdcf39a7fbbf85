//! Whether what happened can be right: each promise of the bus is one function from what was recorded to its violations.

mod kept;
mod nonces;
mod one_log;
mod rights;

use std::fmt;
use std::time::Duration;

use super::record::{Entry, Message, Moment, Node, Nonce, Record, Room, Snapshot, User};

/// For how long a node may not know of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// After a removal that was acknowledged with nodes pending: for so long rights that were taken away may be used there.
    pub staleness: Duration,
}

/// A promise that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An entry was acknowledged, and a node does not have it.
    LostEntry {
        /// The node.
        node: Node,
        /// The room.
        room: Room,
        /// The entry.
        entry: Entry,
    },
    /// A message was acknowledged, and a node does not have it.
    LostMessage {
        /// The node.
        node: Node,
        /// The room.
        room: Room,
        /// The message.
        message: Message,
    },
    /// An entry was refused, and a node has it.
    RefusedEntry {
        /// The node.
        node: Node,
        /// The room.
        room: Room,
        /// The entry.
        entry: Entry,
    },
    /// A message was refused, or nobody sent it, and a node has it.
    RefusedMessage {
        /// The node.
        node: Node,
        /// The room.
        room: Room,
        /// The message.
        message: Message,
    },
    /// A message is kept more than once.
    Repeated {
        /// The node.
        node: Node,
        /// The room.
        room: Room,
        /// The message.
        message: Message,
    },
    /// Two nodes that are whole keep different messages of a room, or in different orders.
    Different {
        /// A node.
        one: Node,
        /// Another.
        other: Node,
        /// The room.
        room: Room,
    },
    /// Two entries of a room's log were shown at one place.
    Fork {
        /// The room.
        room: Room,
        /// How many entries are before it.
        at: usize,
        /// An entry.
        one: Entry,
        /// Another.
        other: Entry,
    },
    /// An entry of a room's log was shown, and a node that is whole does not have it.
    Vanished {
        /// The node.
        node: Node,
        /// The room.
        room: Room,
        /// How many entries are before it.
        at: usize,
    },
    /// A nonce was accepted more than once.
    NonceTwice {
        /// Whose.
        user: User,
        /// The nonce.
        nonce: Nonce,
    },
    /// A message was sent when somebody was no member, and reached that user.
    ReceivedWithoutMembership {
        /// Whom it reached.
        user: User,
        /// The room.
        room: Room,
        /// The message.
        message: Message,
        /// When.
        at: Moment,
    },
    /// Something was accepted from a user who had no right to it any more, or never had.
    UsedWithoutRight {
        /// The user.
        user: User,
        /// The room, if it was about one.
        room: Option<Room>,
        /// When it was asked for.
        at: Moment,
    },
}

/// Everything that is wrong with a run. `snapshots` are of the nodes when they are whole again.
pub fn check(record: &Record, snapshots: &[Snapshot], bounds: Bounds) -> Vec<Violation> {
    let mut violations = kept::check(record, snapshots);
    violations.extend(one_log::check(record, snapshots));
    violations.extend(nonces::check(record));
    violations.extend(rights::check(record, bounds));
    violations
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostEntry { node, room, entry } => {
                write!(f, "node {} lost the acknowledged entry {:016x} of room {}", node.0, entry.0, room.0)
            }
            Self::LostMessage { node, room, message } => {
                write!(f, "node {} lost the acknowledged message {} of room {}", node.0, message.0, room.0)
            }
            Self::RefusedEntry { node, room, entry } => {
                write!(
                    f,
                    "node {} has the entry {:016x} of room {}, which was refused",
                    node.0, entry.0, room.0
                )
            }
            Self::RefusedMessage { node, room, message } => {
                write!(
                    f,
                    "node {} has the message {} in room {}, which was refused",
                    node.0, message.0, room.0
                )
            }
            Self::Repeated { node, room, message } => {
                write!(f, "node {} keeps the message {} of room {} more than once", node.0, message.0, room.0)
            }
            Self::Different { one, other, room } => {
                write!(f, "nodes {} and {} keep different messages of room {}", one.0, other.0, room.0)
            }
            Self::Fork { room, at, one, other } => {
                write!(f, "the log of room {} forked: {:016x} and {:016x} at {at}", room.0, one.0, other.0)
            }
            Self::Vanished { node, room, at } => {
                write!(f, "entry {at} of the log of room {} was shown and is not on node {}", room.0, node.0)
            }
            Self::NonceTwice { user, nonce } => {
                write!(f, "nonce {} of user {} was accepted more than once", nonce.0, user.0)
            }
            Self::ReceivedWithoutMembership { user, room, message, at } => write!(
                f,
                "message {} of room {} reached user {} at {:?}, who was no member when it was sent",
                message.0, room.0, user.0, at.0
            ),
            Self::UsedWithoutRight { user, room, at } => {
                write!(
                    f,
                    "something of user {}, asked for at {:?}, was accepted without a right",
                    user.0, at.0
                )?;
                room.map_or(Ok(()), |room| write!(f, " in room {}", room.0))
            }
        }
    }
}

#[cfg(test)]
mod tests;
