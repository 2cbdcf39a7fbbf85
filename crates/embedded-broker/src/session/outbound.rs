//! The bytes that wait for one client: bounded, appended by whoever publishes, written by the client's own task.
//!
//! Whatever decides whether a message may be appended for this client (its rights on delivery, whether a
//! subscription still lives, whether the connection is open) is read under the same mutex under which the bytes are
//! appended, and changed only under it. So a change that was made is in force for every later append.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use busauth::Acl;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{chunks::Chunks, close_reason::CloseReason, plain_writer::PlainWriter};
use crate::{
    protocol::{self, MessageFrame},
    routing::{ReplyPermissions, Subscription},
};

/// Most bytes that somebody else than the writer writes: they are written under the mutex, and what is more does not wait
/// for one wake-up anyway.
const MAX_DIRECT: usize = 16 * 1024;

/// Outbound side of one connection.
pub(crate) struct Outbound {
    connection: u64,
    max_pending: usize,
    state: Mutex<State>,
    /// Wakes the writer when it is idle, or when it has to stop.
    wake: Notify,
    /// Wakes publishers that wait for room.
    drained: Notify,
}

#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
struct State {
    queue: Chunks,
    /// Bytes the writer has taken and not yet written.
    in_flight: usize,
    /// Whether the writer waits for [`Outbound::wake`].
    writer_idle: bool,
    /// What others may write to while the writer waits, where the connection is plain TCP.
    socket: Option<PlainWriter>,
    /// The beginning of the first frame that waits is written.
    within_frame: bool,
    phase: Phase,
    /// Whether the client understands headers.
    headers: bool,
    /// Decides deliveries to filtered subscriptions and which replies are tracked.
    acl: Arc<Acl>,
    replies: ReplyPermissions,
    /// Ids of subscriptions that reached their maximum and are still in the connection's table.
    spent: Vec<Arc<Subscription>>,
    /// Whether a publisher waits for [`Outbound::drained`].
    stalling: bool,
    messages: u64,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more is appended; what waits is written, then the connection ends.
    Finishing(CloseReason),
    /// What waits was thrown away; the connection ends at once.
    Discarded(CloseReason),
}

/// What became of one message for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It was not appended: the subscription ended, the connection is closing, or its rights do not allow it.
    Skipped,
    /// It was appended.
    Accepted(After),
    /// The client had too much waiting already: the connection is being dropped.
    Overflow,
}

/// What the publisher has to do after an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct After {
    /// Call [`Outbound::wake`] at the end of the batch.
    pub(crate) wake: bool,
    /// Wait for room before the next batch.
    pub(crate) stall: bool,
    /// The subscription reached its maximum: take it out of the index.
    pub(crate) spent: bool,
}

/// What the writer has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write the chunks; the first one may begin within a frame.
    Write { within_frame: bool },
    /// Wait to be woken.
    Wait,
    /// Everything is written and nothing more will come.
    Finished,
    /// Stop at once.
    Discarded(CloseReason),
    /// Stop at once, and say nothing: a frame is half written.
    Cut,
}

/// Counters of one direction of one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Outbound {
    pub(crate) fn new(
        connection: u64,
        max_pending: usize,
        max_tracked_replies: usize,
        acl: Arc<Acl>,
    ) -> Self {
        Self {
            connection,
            max_pending,
            state: Mutex::new(State {
                queue: Chunks::default(),
                in_flight: 0,
                writer_idle: false,
                socket: None,
                within_frame: false,
                phase: Phase::Open,
                headers: false,
                acl,
                replies: ReplyPermissions::new(max_tracked_replies),
                spent: Vec::new(),
                stalling: false,
                messages: 0,
                bytes: 0,
            }),
            wake: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// Number of the connection this belongs to.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// Appends a message for a subscription of this connection, if everything still allows it.
    ///
    /// `subject` is the frame's subject as text.
    pub(crate) fn deliver(
        &self,
        subscription: &Arc<Subscription>,
        subject: &str,
        frame: &MessageFrame<'_>,
    ) -> Delivery {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.phase != Phase::Open || !subscription.is_live() {
            return Delivery::Skipped;
        }
        if subscription.is_filtered() && !state.acl.may_deliver(subject, subscription.queue()) {
            return Delivery::Skipped;
        }
        let stripped;
        let frame = if frame.header_len > 0 && !state.headers {
            let body = protocol::strip_headers(frame.header_len, frame.body);
            stripped = MessageFrame { header_len: 0, body, ..*frame };
            &stripped
        } else {
            frame
        };
        let room = frame.encoded_len(subscription.sid().len());
        if state.pending() + room > self.max_pending {
            state.discard(CloseReason::SlowConsumerBytes);
            drop(guard);
            self.stop_writer();
            return Delivery::Overflow;
        }
        protocol::write_message(state.queue.reserve(room), frame, subscription.sid());
        state.queue.settle();
        state.messages += 1;
        state.bytes += frame.body.len() as u64;
        state.track_reply(frame.reply);
        let spent = subscription.count_delivery();
        if spent {
            state.spent.push(Arc::clone(subscription));
        }
        let stall = state.pending() > self.max_pending / 4 * 3;
        state.stalling |= stall;
        Delivery::Accepted(After { wake: state.start_writer(), stall, spent })
    }

    /// Appends whatever `write` puts into the buffer: replies of the protocol to this client itself. Returns
    /// whether the writer has to be woken.
    pub(crate) fn append(&self, room: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.phase != Phase::Open {
            return false;
        }
        if state.pending() + room > self.max_pending {
            state.discard(CloseReason::SlowConsumerBytes);
            drop(guard);
            self.stop_writer();
            return false;
        }
        write(state.queue.reserve(room));
        state.queue.settle();
        state.start_writer()
    }

    /// Whether so much waits for the client that whoever sends it more should wait.
    pub(crate) fn is_nearly_full(&self) -> bool {
        let state = self.state.lock();
        state.stalling && state.phase == Phase::Open
    }

    /// Appends fixed bytes and wakes the writer.
    pub(crate) fn send(&self, bytes: &[u8]) {
        if self.append(bytes.len(), |out| out.extend_from_slice(bytes)) {
            self.wake();
        }
    }

    /// Appends `-ERR` and keeps the connection. Returns whether the writer has to be woken.
    pub(crate) fn error(&self, text: &str) -> bool {
        self.append(text.len() + 16, |out| protocol::write_error(out, text))
    }

    /// Wakes the writer.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Lets others write to this while the writer waits; `None` when the connection ends.
    pub(crate) fn share(&self, socket: Option<PlainWriter>) {
        self.state.lock().socket = socket;
    }

    /// Writes what waits, if it is little and the socket takes it at once; else wakes the writer. In place of
    /// [`Outbound::wake`], for threads that are none of the runtime's: to wake one of those takes longer than to write,
    /// for the client and in processor time.
    pub(crate) fn write_or_wake(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        // Under the mutex nobody else writes: the writer waits to be woken, and takes the mutex first when it is.
        if state.phase == Phase::Open
            && state.in_flight == 0
            && let Some(socket) = &state.socket
            && let Some(bytes) = state.queue.short(MAX_DIRECT)
            && let Ok(written) = socket.try_write(bytes)
        {
            state.queue.consume(written);
            self.make_room(state);
            if state.queue.is_empty() {
                state.within_frame = false;
                state.writer_idle = true;
                return;
            }
            state.within_frame |= written > 0;
        }
        drop(guard);
        self.wake();
    }

    /// Lets the writer write what waits, then the final `-ERR` if the reason has one, and ends the connection.
    pub(crate) fn finish(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            if let Some(text) = reason.error_text() {
                protocol::write_error(state.queue.reserve(text.len() + 16), text);
                state.queue.settle();
            }
            state.phase = Phase::Finishing(reason);
            state.writer_idle = false;
        }
        drop(state);
        self.stop_writer();
    }

    /// Throws away what waits and ends the connection. The final `-ERR` is still sent where it cannot land
    /// within another frame.
    pub(crate) fn discard(&self, reason: CloseReason) {
        self.state.lock().discard(reason);
        self.stop_writer();
    }

    /// Why the connection is ending, when it is.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.state.lock().phase.reason()
    }

    /// Changes what decides deliveries, and with it whatever `change` touches, in one step.
    pub(crate) fn change<T>(&self, acl: Arc<Acl>, change: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock();
        state.acl = acl;
        state.replies.clear();
        change()
    }

    /// Runs `change` while nothing can be appended for this client.
    pub(crate) fn while_quiet<T>(&self, change: impl FnOnce() -> T) -> T {
        let _state = self.state.lock();
        change()
    }

    /// Whether the client understands headers.
    pub(crate) fn set_headers(&self, understood: bool) {
        self.state.lock().headers = understood;
    }

    /// Uses up the right to answer a request it received, if it has one.
    pub(crate) fn take_reply_permission(&self, subject: &str) -> bool {
        let mut state = self.state.lock();
        let Some(policy) = state.acl.responses().copied() else {
            return false;
        };
        state.replies.take(subject, &policy)
    }

    /// Subscriptions that reached their maximum since the last call.
    pub(crate) fn take_spent(&self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut self.state.lock().spent)
    }

    /// Bytes that wait, those being written included.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().pending()
    }

    /// What was appended so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let state = self.state.lock();
        Traffic { messages: state.messages, bytes: state.bytes }
    }

    /// Waits until half of the bound is free again, at most for `limit`.
    pub(crate) async fn wait_for_room(&self, limit: Duration) {
        let mut drained = std::pin::pin!(self.drained.notified());
        // Registered before the state is read, so that a drain in between is not missed.
        drained.as_mut().enable();
        if self.state.lock().stalling {
            // Time-out is fine: the bound on bytes still holds.
            drop(tokio::time::timeout(limit, drained).await);
        }
    }

    /// Waits until the writer has something to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Hands the writer what waits. `batch` must be empty.
    pub(super) fn next(&self, batch: &mut VecDeque<Vec<u8>>) -> Next {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Discarded(_) if state.within_frame => return Next::Cut,
            Phase::Discarded(reason) => return Next::Discarded(reason),
            Phase::Finishing(_) if state.queue.is_empty() => return Next::Finished,
            Phase::Open if state.queue.is_empty() => {
                state.writer_idle = true;
                return Next::Wait;
            }
            Phase::Open | Phase::Finishing(_) => {}
        }
        state.in_flight = state.queue.take(batch);
        Next::Write { within_frame: std::mem::take(&mut state.within_frame) }
    }

    /// Notes that the writer got rid of `bytes`. Answers whether it may go on.
    pub(super) fn written(&self, bytes: usize) -> Result<(), CloseReason> {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(bytes);
        self.make_room(&mut state);
        match state.phase {
            Phase::Discarded(reason) => Err(reason),
            Phase::Open | Phase::Finishing(_) => Ok(()),
        }
    }

    /// Why the writer has to stop at once, if it has to.
    pub(super) fn discarded(&self) -> Option<CloseReason> {
        match self.state.lock().phase {
            Phase::Discarded(reason) => Some(reason),
            Phase::Open | Phase::Finishing(_) => None,
        }
    }

    /// Gives a written chunk back for reuse.
    pub(super) fn recycle(&self, chunk: Vec<u8>) {
        self.state.lock().queue.recycle(chunk);
    }

    /// Gives memory back that a quiet connection does not need.
    pub(crate) fn shrink(&self) {
        self.state.lock().queue.shrink();
    }

    /// Lets publishers go on that wait for room, if there is enough.
    fn make_room(&self, state: &mut State) {
        if state.stalling && state.pending() < self.max_pending / 2 {
            state.stalling = false;
            self.drained.notify_waiters();
        }
    }

    fn stop_writer(&self) {
        self.wake.notify_one();
        self.drained.notify_waiters();
    }

    #[cfg(test)]
    pub(crate) fn queued_bytes(&self) -> Vec<u8> {
        let state = self.state.lock();
        state.queue.to_vec()
    }
}

impl State {
    fn pending(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    /// Whether the caller has to wake the writer.
    fn start_writer(&mut self) -> bool {
        std::mem::take(&mut self.writer_idle)
    }

    fn discard(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Discarded(_)) {
            return;
        }
        self.queue.clear();
        self.replies.clear();
        // A connection that was ending anyway keeps its reason.
        self.phase = Phase::Discarded(self.phase.reason().unwrap_or(reason));
        self.writer_idle = false;
    }

    /// Remembers a request this client may answer although no rule lets it publish there.
    fn track_reply(&mut self, reply: Option<&[u8]>) {
        let (Some(reply), Some(policy)) = (reply, self.acl.responses()) else {
            return;
        };
        let Ok(reply) = std::str::from_utf8(reply) else {
            return;
        };
        if !self.acl.may_publish(reply) {
            let policy = *policy;
            self.replies.record(reply, &policy);
        }
    }
}

impl Phase {
    fn reason(self) -> Option<CloseReason> {
        match self {
            Self::Open => None,
            Self::Finishing(reason) | Self::Discarded(reason) => Some(reason),
        }
    }
}

#[cfg(test)]
mod tests;
