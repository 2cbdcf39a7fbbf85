//! Receivers inside the broker: streams and the JetStream API take messages like subscriptions do, without a
//! connection and without an outbound buffer.

use std::sync::Arc;

use crate::{pressure::Pressure, session::Connection};

/// A message on its way, as a receiver inside the broker sees it. It borrows from the publisher's read buffer.
#[derive(Clone, Copy)]
pub(crate) struct Inbound<'a> {
    pub(crate) subject: &'a str,
    pub(crate) reply: Option<&'a [u8]>,
    /// Bytes of `body` that are the header block.
    pub(crate) header_len: usize,
    /// Header block and payload.
    pub(crate) body: &'a [u8],
    /// Who published it; `None` when it was the broker itself.
    pub(crate) from: Option<&'a Arc<Connection>>,
}

/// What became of a message that was offered.
pub(crate) enum Taken {
    /// It was not for this receiver.
    No,
    /// It was taken.
    Yes,
    /// It was taken, and the publisher is to wait for room before it goes on.
    Pressed(Arc<Pressure>),
}

/// A receiver inside the broker. Offers come on the publisher's own thread while it holds `dispatch`: what is not
/// done at once is queued, and nothing here may block.
pub(crate) trait Sink: Send + Sync {
    fn offer(&self, message: &Inbound<'_>) -> Taken;

    /// The batch is over in which it took something: whoever works off what is queued is to be woken now. Woken with
    /// the first message, it would begin with that one alone, and take a processor from whoever queues the others.
    fn batch_ends(&self);
}
