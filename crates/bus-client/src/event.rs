//! What happens on the bus while nobody is asking.

use std::time::Duration;

use busauth::{Handle, UserId};
use room_protocol::{Head, RoomId};
use tokio::sync::broadcast;

/// Something the SDK noticed and, where it concerns a room's log, has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is back; everything subscribed is subscribed again.
    Reconnected,
    /// The connection is gone; the SDK keeps trying.
    Disconnected,
    /// Messages may have been missed.
    Gap(GapCause),
    /// This identity was added to a room.
    RoomAdded {
        /// Which room.
        room: RoomId,
    },
    /// This identity is no longer a member, or the room is gone.
    RoomLost {
        /// Which room.
        room: RoomId,
    },
    /// The membership log grew; every new entry has been verified.
    LogAdvanced {
        /// Which room.
        room: RoomId,
        /// The head it now has.
        head: Head,
    },
    /// A new key is in use.
    EpochChanged {
        /// Which room.
        room: RoomId,
        /// The new epoch's number.
        epoch: u64,
    },
    /// An administrator froze the room, or lifted that again.
    RoomFrozen {
        /// Which room.
        room: RoomId,
        /// Whether it is frozen now.
        frozen: bool,
    },
    /// The server offers an older log than the one known here. Sending in the room has stopped.
    RolledBack {
        /// Which room.
        room: RoomId,
        /// The head known here.
        known: Head,
        /// The head the server offers.
        offered: Head,
    },
    /// The server, or a member's signed message, has a different history than the one known here.
    Forked {
        /// Which room.
        room: RoomId,
        /// First entry that differs, as known here.
        known: Head,
        /// The same entry as the other side has it.
        other: Head,
        /// Whose message shows it; none when the server's own log does, in which case sending has stopped.
        shown_by: Option<UserId>,
    },
    /// The server had lost entries of the log and has taken them back from this client.
    LogRestored {
        /// Which room.
        room: RoomId,
    },
    /// The server's log of a room breaks the room protocol; the last valid state stays in use.
    InvalidLog {
        /// Which room.
        room: RoomId,
        /// Which rule, in words.
        violation: String,
    },
    /// A member carries a handle that is pinned to somebody else here.
    HandleConflict {
        /// Which room.
        room: RoomId,
        /// The handle.
        handle: Handle,
        /// Who carries it in this room.
        user: UserId,
    },
    /// This SDK opened a new epoch because a member left or was revoked.
    Rekeyed {
        /// Which room.
        room: RoomId,
        /// The epoch it opened.
        epoch: u64,
    },
    /// The bus refused something sent or subscribed earlier (rights changed under way).
    Refused {
        /// The server's words.
        detail: String,
    },
    /// This identity has been revoked. Nothing works any more.
    Revoked,
    /// So many events were dropped: the receiver was too slow, or more came from the connection than the SDK could take.
    Lagged(u64),
}

/// Why messages may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapCause {
    /// The connection was away for about this long.
    Disconnected(Duration),
    /// A subscriber here did not keep up.
    SlowConsumer,
    /// The room was frozen, and is not any more.
    Frozen,
    /// The bus had closed the subscription for a moment: this identity was shut out and let in again.
    ShutOut,
    /// What the room keeps could not be read, and so what was sent before the subscription began, or during another gap.
    Unread,
}

/// A receiver of events; every one sees all events from its creation on.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` after shutdown.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Lagged(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl futures_util::Stream<Item = Event> + Send {
        futures_util::stream::unfold(self, |mut events| async move {
            let event = events.next().await?;
            Some((event, events))
        })
    }
}
