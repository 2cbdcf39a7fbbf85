//! A subscription on its way from one connection to the next.
//!
//! First it listens on the new one, then it reads the old one to its end, and only then what the new one has meanwhile: in
//! this order messages of one sender stay in theirs. What arrived on both is told by who signed it and with which id; of
//! a message without an id nobody can tell, and it may come twice.

use std::collections::HashSet;
use std::time::Duration;

use busauth::UserId;
use futures_util::StreamExt as _;
use room_protocol::{MessageId, MessageRejection};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::pump::Wires;
use crate::bus::{BusCore, Session};
use crate::message::{Message, MessageError};

/// What the old connection had is looked for on the new one for so long.
const BOTH: Duration = Duration::from_secs(30);

/// Which connection a subscription is on, and what it has yet to read of the one before.
pub(super) struct Moving {
    sessions: watch::Receiver<Session>,
    session: Session,
    /// Keeps the connection, until this subscription listens on the next one.
    hold: TaskTrackerToken,
    old: Option<Old>,
    had: Had,
    /// What the one before that had: not all of it may have been seen on the old one when it is left as well.
    had_earlier: Had,
}

/// What came on a connection that was left, and how long it may come on the next.
#[derive(Debug, Default)]
struct Had {
    messages: HashSet<(UserId, MessageId)>,
    until: Option<Instant>,
}

impl Had {
    /// Whether this is one of them, and comes once more.
    fn contains(
        &mut self,
        known: Option<&(UserId, MessageId)>,
        rejection: Option<&MessageRejection>,
    ) -> bool {
        if self.until.is_none_or(|until| Instant::now() > until) {
            *self = Self::default();
            return false;
        }
        // It may also have arrived before this subscription knew that it has to move: another node can be slower.
        known.is_some_and(|known| self.messages.remove(known))
            || rejection == Some(&MessageRejection::Replayed)
    }
}

/// What a subscription has to do with its connections.
pub(super) enum Step {
    /// Listen on the connection that is in use now.
    Move,
    /// Take a message of the old connection.
    Take(usize, Box<async_nats::Message>),
    /// Nothing: the old connection is read to its end.
    Moved,
}

struct Old {
    wires: Wires,
    session: Session,
}

impl Moving {
    pub(super) fn new(bus: &BusCore) -> Self {
        let mut sessions = bus.sessions();
        let session = sessions.borrow_and_update().clone();
        let hold = session.hold();
        Self { sessions, session, hold, old: None, had: Had::default(), had_earlier: Had::default() }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Something of the old connection has yet to be read.
    pub(super) fn is_under_way(&self) -> bool {
        self.old.is_some()
    }

    /// What is to be done next, if this subscription has to move or is moving. One move at a time.
    pub(super) async fn next(&mut self) -> Step {
        let Some(old) = &mut self.old else {
            if self.sessions.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            return Step::Move;
        };
        let next = tokio::select! {
            biased;
            next = old.wires.next() => next,
            // It may have ended without ending its subscriptions, when it was lost.
            () = old.session.over().cancelled() => None,
        };
        if next.is_none() {
            self.old = None;
            self.had.until = Some(Instant::now() + BOTH);
        }
        next.map_or(Step::Moved, |(from, wire)| Step::Take(from, Box::new(wire)))
    }

    /// From now on the connection in use is that of this subscription. The one before is held until [`Self::begin`].
    pub(super) fn follow(&mut self) -> Left {
        let session = self.sessions.borrow_and_update().clone();
        let hold = std::mem::replace(&mut self.hold, session.hold());
        let session = std::mem::replace(&mut self.session, session);
        Left { session, _hold: hold }
    }

    /// The new connection is listened on: the old one may end.
    pub(super) fn begin(&mut self, wires: Wires, left: Left) {
        self.had_earlier = std::mem::take(&mut self.had);
        self.old = Some(Old { wires, session: left.session });
    }

    /// Whether this has arrived on an earlier connection, too. Notes what comes on one that is being left.
    pub(super) fn had_before(&mut self, item: &Result<Message, MessageError>) -> bool {
        let known = match item {
            Ok(message) => message.from.zip(message.id),
            Err(error) => error.signed_by().zip(error.id()),
        };
        let rejection = item.as_ref().err().and_then(MessageError::rejection);
        if self.old.is_some() {
            self.had.messages.extend(known);
            return self.had_earlier.contains(known.as_ref(), rejection);
        }
        self.had.contains(known.as_ref(), rejection)
    }
}

/// A connection that a subscription is leaving.
pub(super) struct Left {
    session: Session,
    _hold: TaskTrackerToken,
}
