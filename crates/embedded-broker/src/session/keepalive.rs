//! When to PING a quiet client, and when to give it up. Pure: time is an argument.

use std::time::{Duration, Instant};

/// The first PING comes early: it measures the round trip.
const FIRST_PING: Duration = Duration::from_secs(2);

/// PING bookkeeping of one connection.
pub(super) struct Keepalive {
    interval: Duration,
    max_unanswered: u32,
    unanswered: u32,
    last_input: Instant,
    ping_sent: Option<Instant>,
    next: Instant,
    first: bool,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: the client was heard of lately.
    Nothing,
    /// Send PING.
    Ping,
    /// The client did not answer the last ones: close.
    Stale,
}

impl Keepalive {
    pub(super) fn new(interval: Duration, max_unanswered: u32, now: Instant) -> Self {
        Self {
            interval,
            max_unanswered,
            unanswered: 0,
            last_input: now,
            ping_sent: None,
            next: now + interval.min(FIRST_PING),
            first: true,
        }
    }

    /// When to call [`Keepalive::due`] next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn input(&mut self, now: Instant) {
        self.last_input = now;
    }

    /// Notes a PONG. Answers when its PING was sent, if one was.
    pub(super) fn pong(&mut self) -> Option<Instant> {
        self.unanswered = 0;
        self.ping_sent.take()
    }

    pub(super) fn due(&mut self, now: Instant) -> Due {
        if now < self.next {
            return Due::Nothing;
        }
        self.next = now + self.interval;
        let first = std::mem::take(&mut self.first);
        if !first && self.unanswered == 0 && now.duration_since(self.last_input) < self.interval {
            return Due::Nothing;
        }
        if self.unanswered >= self.max_unanswered {
            return Due::Stale;
        }
        self.unanswered += 1;
        self.ping_sent = Some(now);
        Due::Ping
    }
}

#[cfg(test)]
mod tests;
