//! One batch of operations: everything that one read brought, run under `dispatch` in one go.
//!
//! From the permission check of an operation to the last append it causes, `dispatch` is held and nothing is awaited.
//! Whoever changes access swaps the rights and then takes `dispatch` once: after that, no operation approved under
//! the old rights is still on its way.

use std::sync::Arc;

use busauth::Acl;
use parking_lot::MutexGuard;

use super::{Client, CloseReason, Connection, Dispatch, Outbound, Traffic};
use crate::{
    broker::Shared,
    pressure::Pressure,
    protocol::{self, ClientOp, Parser, Step},
};

/// Operations and deliveries after which a batch ends although there is more input. `dispatch` is not held, and
/// subscribers are not kept waiting, for a large fan-out of many messages.
const MAX_WORK: usize = 16 * 1024;

/// PINGs after which a batch ends and its connection rests. Clients send one and wait for the answer; whoever sends them
/// by the thousand is answered all the same, but not at the cost of everybody else.
const MAX_PINGS: usize = 256;

/// A batch at work.
pub(super) struct Batch<'a> {
    pub(super) shared: &'a Shared,
    pub(super) connection: &'a Arc<Connection>,
    pub(super) dispatch: MutexGuard<'a, Dispatch>,
    /// The rights for the whole batch.
    pub(super) acl: Arc<Acl>,
    pub(super) client: Arc<Client>,
    pub(super) received: Traffic,
    /// What was done so far, counted against [`MAX_WORK`].
    pub(super) work: usize,
    /// PINGs that were answered.
    pings: usize,
    ponged: bool,
}

/// What a batch came to.
pub(super) struct BatchEnd {
    /// Bytes of the input that were used.
    pub(super) consumed: usize,
    pub(super) then: Then,
    /// A PONG was among the operations.
    pub(super) ponged: bool,
    /// Somebody was woken.
    pub(super) woke: bool,
    /// Buffers that are nearly full.
    pub(super) full: Vec<Arc<Outbound>>,
    /// Queues inside the broker that are full.
    pub(super) pressed: Vec<Arc<Pressure>>,
}

/// What comes after a batch.
pub(super) enum Then {
    /// Read until this many bytes from the first unused one are there.
    Read(usize),
    /// Begin another batch with what is left of the input.
    GoOn,
    /// The same, but not at once.
    Rest,
    /// Log in with this CONNECT, then go on with what is left of the input.
    Connect(Vec<u8>),
    /// End the connection.
    Close(CloseReason),
}

impl<'a> Batch<'a> {
    /// Takes `dispatch` and the rights as they are from then on.
    pub(super) fn begin(shared: &'a Shared, connection: &'a Arc<Connection>) -> Self {
        let dispatch = connection.dispatch.lock();
        // Read after the lock is taken: whoever swaps the rights first and takes the lock then waits for this
        // batch if it read the old ones.
        let acl = connection.rights.load_full();
        let client = connection.client.load_full();
        Self {
            shared,
            connection,
            dispatch,
            acl,
            client,
            received: Traffic::default(),
            work: 0,
            pings: 0,
            ponged: false,
        }
    }

    /// Runs every whole operation in `input`.
    pub(super) fn run(mut self, parser: &mut Parser, input: &[u8]) -> BatchEnd {
        self.forget_spent();
        let acl = Arc::clone(&self.acl);
        self.dispatch.routes.use_rights(&acl);
        let mut consumed = 0;
        let then = loop {
            if self.dispatch.closed {
                let reason = self.connection.outbound.closing();
                break Then::Close(reason.unwrap_or(CloseReason::Shutdown));
            }
            if self.work > MAX_WORK {
                break Then::GoOn;
            }
            if self.pings >= MAX_PINGS {
                break Then::Rest;
            }
            self.work += 1;
            match parser.step(&input[consumed..]) {
                Ok(Step::Op(operation, used)) => {
                    consumed += used;
                    if let ClientOp::Connect(json) = operation {
                        break Then::Connect(json.to_vec());
                    }
                    self.operation(&operation);
                }
                Ok(Step::Incomplete(needed)) => break Then::Read(needed),
                Err(error) => break Then::Close(CloseReason::Parse(error)),
            }
        };
        self.end(consumed, then)
    }

    fn end(mut self, consumed: usize, then: Then) -> BatchEnd {
        self.connection.incoming.add(self.received);
        let aftermath = &mut self.dispatch.aftermath;
        let woke = aftermath.wake();
        let full = std::mem::take(&mut aftermath.full);
        let pressed = std::mem::take(&mut aftermath.pressed);
        BatchEnd { consumed, then, ponged: self.ponged, woke, full, pressed }
    }

    pub(super) fn operation(&mut self, operation: &ClientOp<'_>) {
        match operation {
            ClientOp::Publish(publish) => self.publish(publish),
            ClientOp::Subscribe(subscribe) => self.subscribe(subscribe),
            ClientOp::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            ClientOp::Ping => self.ping(),
            ClientOp::Pong => self.ponged = true,
            // CONNECT never gets here: logging in awaits.
            ClientOp::Connect(_) | ClientOp::Ignored => {}
        }
    }

    fn ping(&mut self) {
        self.pings += 1;
        self.reply(protocol::PONG);
        if self.client.async_info && !self.dispatch.informed {
            self.dispatch.informed = true;
            let info = self.shared.connected_info(self.connection);
            self.reply(&info);
        }
    }

    /// Takes subscriptions that reached their maximum out of the table.
    pub(super) fn forget_spent(&mut self) {
        for spent in self.connection.outbound.take_spent() {
            self.forget(&spent);
        }
    }

    /// Answers `+OK`, if the client wants that.
    pub(super) fn ok(&mut self) {
        if self.client.verbose {
            self.reply(protocol::OK);
        }
    }

    /// Answers with a `-ERR` that keeps the connection.
    pub(super) fn error(&mut self, text: &str) {
        tracing::debug!(connection = self.connection.id, text, "operation refused");
        let wake = self.connection.outbound.error(text);
        self.wake_self(wake);
    }

    fn reply(&mut self, line: &[u8]) {
        let wake = self.connection.outbound.append(line.len(), |out| out.extend_from_slice(line));
        self.wake_self(wake);
    }

    pub(super) fn wake_self(&mut self, wake: bool) {
        if wake {
            self.dispatch.aftermath.to_wake.push(Arc::clone(&self.connection.outbound));
        }
    }
}
