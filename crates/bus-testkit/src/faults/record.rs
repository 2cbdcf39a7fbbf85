//! What happened in a run, as plain data. Users, rooms and the like are numbers that the run gives out.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long after the begin of the run, on a clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

/// A node of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub usize);

/// A user of the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(pub usize);

/// A room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room(pub usize);

/// A message that was to be kept; a second attempt to send it has the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message(pub u64);

/// The nonce of a signed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u64);

/// An entry of a room's log: so much of its digest that it can be told from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry(pub u64);

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// A room of its own.
    Create {
        /// The room.
        room: Room,
        /// The first entry of its log.
        entry: Entry,
    },
    /// Somebody becomes a member of a room.
    Add {
        /// The room.
        room: Room,
        /// Who.
        user: User,
        /// The entry of the room's log that says so.
        entry: Entry,
    },
    /// Somebody is no member any more.
    Remove {
        /// The room.
        room: Room,
        /// Who.
        user: User,
        /// The entry of the room's log that says so.
        entry: Entry,
    },
    /// A message is kept.
    Publish {
        /// The room.
        room: Room,
        /// The message.
        message: Message,
    },
    /// A signed request with this nonce, for nothing but to see whether it is accepted.
    Spend {
        /// The nonce.
        nonce: Nonce,
    },
    /// Somebody is shut out of the bus.
    Revoke {
        /// Who.
        user: User,
    },
}

/// What the client knows afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Acknowledged,
    /// It was done; some nodes may not know of it for as long as the bound allows.
    Pending,
    /// It was not done, and will not be.
    Refused,
    /// Nothing: it may have been done, and may still be.
    Unknown,
}

/// Something that a client asked for, from the moment before it asked to the moment after it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub by: User,
    /// Which node.
    pub node: Node,
    /// For what.
    pub write: Write,
    /// Nothing had been sent before.
    pub began: Moment,
    /// The answer was there, or nobody waited for it any more.
    pub ended: Moment,
    /// The answer.
    pub outcome: Outcome,
}

/// A message that reached somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Whom.
    pub user: User,
    /// In which room.
    pub room: Room,
    /// The message.
    pub message: Message,
    /// When it was there.
    pub at: Moment,
}

/// A part of a room's log that somebody was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLog {
    /// By which node.
    pub node: Node,
    /// The room.
    pub room: Room,
    /// How many entries are before these.
    pub skipped: usize,
    /// What was shown.
    pub entries: Vec<Entry>,
}

/// Something that was done to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What, for people.
    pub what: String,
    /// From when.
    pub from: Moment,
    /// Whether a leader was lost by it, so that something has to be elected.
    pub took_leader: bool,
}

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// What clients asked for.
    pub operations: Vec<Operation>,
    /// What reached them.
    pub received: Vec<Received>,
    /// What they were shown of logs.
    pub logs: Vec<SeenLog>,
    /// What was done to the cluster.
    pub troubles: Vec<Trouble>,
    /// The end.
    pub ended: Moment,
}

/// What a node has when everything is whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The node.
    pub node: Node,
    /// The logs of rooms, whole.
    pub logs: BTreeMap<Room, Vec<Entry>>,
    /// What rooms keep, in its order.
    pub messages: BTreeMap<Room, Vec<Message>>,
}

impl Default for Moment {
    /// The begin of the run.
    fn default() -> Self {
        Self(Duration::ZERO)
    }
}

impl Moment {
    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How much later this is than an earlier moment; nothing when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Outcome {
    /// Whether the client was told that it is done.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Pending)
    }
}
