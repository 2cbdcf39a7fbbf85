//! A stream of verified messages.

mod moving;
mod pump;

use std::pin::Pin;
use std::task::{Context, Poll};

use busauth::{QueueGroup, SubjectFilter};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Result;
use crate::message::{Message, MessageError};
use crate::room::Room;
use pump::Pump;

/// Verified messages that wait for the caller. What does not fit waits unverified in the connection's own buffer.
const READY: usize = 256;

/// What part of a room a subscription gets, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Only what is published here: a filter within the room's subject, wildcards allowed. Everything when left out.
    pub filter: Option<SubjectFilter>,
    /// Share the messages with the other members of this queue group. Writers and owners only.
    pub queue: Option<QueueGroup>,
    /// Whether messages sent through this very [`crate::Bus`] come back.
    pub own: OwnMessages,
}

/// Whether messages sent through the same connection are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnMessages {
    /// As any other message.
    #[default]
    Deliver,
    /// Left out. Messages that the same identity sends elsewhere are delivered.
    Skip,
}

/// Messages of a room, in the order in which the bus delivered them. Between the room's own subject and those below it
/// there is no order when messages of both are waiting.
///
/// Every item is a message or a distinct reason why what arrived is none; nothing is dropped in silence. The stream ends
/// when the room is lost or the bus shut down. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    ready: mpsc::Receiver<Result<Message, MessageError>>,
    _room: Room,
    _pump: DropGuard,
}

impl Subscription {
    /// Subscribes; what is published after this returns is delivered.
    pub(crate) async fn start(room: &Room, options: SubscribeOptions) -> Result<Self> {
        let (out, ready) = mpsc::channel(READY);
        let stop = CancellationToken::new();
        let pump = Pump::subscribe(room.core.clone(), options, out, stop.clone()).await?;
        room.core.bus.tasks.spawn(pump.run());
        Ok(Self { ready, _room: room.clone(), _pump: stop.drop_guard() })
    }

    /// The next message, or why what arrived is none; `None` when nothing follows.
    pub async fn next(&mut self) -> Option<Result<Message, MessageError>> {
        self.ready.recv().await
    }
}

impl Stream for Subscription {
    type Item = Result<Message, MessageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(context)
    }
}
