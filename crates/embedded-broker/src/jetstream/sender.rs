//! Messages that the broker publishes itself: acknowledgements, deliveries, answers, advisories.

use std::sync::Arc;

use crate::{
    protocol::MessageFrame,
    routing::{Aftermath, Dice, FanOut, Inbound, Index, RouteCache, RouteId},
};

/// A publisher inside the broker, one for each thread. It has all rights; whether a client may *receive* what is sent
/// is decided at the client's outbound buffer, as for every message.
pub(crate) struct Sender {
    index: Arc<Index>,
    routes: RouteCache,
    dice: Dice,
    aftermath: Aftermath,
}

impl Sender {
    pub(crate) fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            routes: RouteCache::default(),
            dice: Dice::new(rand::random()),
            aftermath: Aftermath::default(),
        }
    }

    /// Sends to whoever listens on `to`; answers how many received it. What they see is `frame`, whose subject may be
    /// another one: a consumer delivers to an inbox under the subject that was published to.
    ///
    /// Clients are woken by [`Sender::flush`], so that a run of messages costs them one wake-up.
    pub(crate) fn send(&mut self, to: &str, frame: &MessageFrame<'_>) -> usize {
        let route = self.routes.locate(to, &self.index);
        self.fan_out(route, to, frame)
    }

    /// Sends a body without headers to the subject that is shown. It is a reply: the subject will not come again.
    pub(crate) fn publish(&mut self, subject: &str, body: &[u8]) -> usize {
        let route = self.routes.locate_once(subject, &self.index);
        let frame = MessageFrame { subject: subject.as_bytes(), reply: None, header_len: 0, body };
        self.fan_out(route, subject, &frame)
    }

    fn fan_out(&mut self, route: RouteId, to: &str, frame: &MessageFrame<'_>) -> usize {
        let inbound = Inbound {
            subject: to,
            reply: frame.reply,
            header_len: frame.header_len,
            body: frame.body,
            from: None,
        };
        let fan_out = FanOut { subject: to, frame, skip: None, aftermath: &mut self.aftermath };
        let delivered = fan_out.run(&self.routes[route], &mut self.dice, &inbound);
        self.index.remove(&delivered.spent);
        delivered.accepted
    }

    /// Whether somebody would receive what is sent there.
    pub(crate) fn has_receiver(&mut self, to: &str) -> bool {
        let route = self.routes.locate(to, &self.index);
        let route = &self.routes[route];
        !(route.plain.is_empty() && route.groups.is_empty() && route.sinks.is_empty())
    }

    /// Whether a client that receives what is sent there is nearly full. It may have become that through others.
    pub(crate) fn is_full(&mut self, to: &str) -> bool {
        let route = self.routes.locate(to, &self.index);
        self.routes[route].plain.iter().any(|subscription| subscription.outbound().is_nearly_full())
    }

    /// Wakes the clients that something was sent to. Answers whether one of them is nearly full.
    pub(crate) fn flush_and_see_full(&mut self) -> bool {
        let full = !self.aftermath.full.is_empty();
        self.flush();
        full
    }

    /// Wakes the clients that something was sent to.
    pub(crate) fn flush(&mut self) {
        self.aftermath.write();
        // These threads do not wait for clients: what is delivered is bounded by what they asked for, and by the bound
        // on each client's buffer.
        self.aftermath.full.clear();
        self.aftermath.pressed.clear();
    }
}
