//! The lease: how long this node, or this process at a NATS that somebody else runs, may go on with what it knows.
//!
//! A record of it comes back through the same order of messages as every change of rights, so it proves that
//! everything before it is known here. The lease runs from the moment the record was *sent*, on the monotonic clock. A
//! process that was stopped in between does not trust its lease: others may have given it up meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often a process shows itself that it runs.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// A process that has not run for so long may have been given up by others, who wait a little longer for it.
pub(super) const STALLED: Duration = Duration::from_secs(2);

/// What a node knows of its own freshness.
#[derive(Debug)]
pub(super) struct Lease {
    bound: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    until: Option<Instant>,
    /// When the process was last found to have been stopped: only what was sent later counts.
    stalled: Option<Instant>,
    /// A record that was sent since then has come back.
    confirmed: bool,
    beat: Instant,
}

impl Lease {
    /// Not held before the first record has come back.
    pub(super) fn new(bound: Duration) -> Self {
        let state = State { until: None, stalled: None, confirmed: false, beat: Instant::now() };
        Self { bound, state: Mutex::new(state) }
    }

    /// How long it runs.
    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    /// A record that was sent then has come back.
    pub(super) fn renew(&self, sent: Instant) {
        let mut state = self.state.lock();
        if state.beat.elapsed() >= STALLED || state.stalled.is_some_and(|stalled| sent < stalled) {
            return;
        }
        let until = sent + self.bound;
        state.until = Some(state.until.map_or(until, |before| before.max(until)));
        state.confirmed = true;
    }

    /// Somebody else has taken over: nothing is known here any more.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        (state.until, state.confirmed) = (None, false);
    }

    /// The process runs. Answers whether it had been stopped.
    pub(super) fn beat(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let stalled = now.duration_since(state.beat) >= STALLED;
        if stalled {
            state.stalled = Some(now);
            state.confirmed = false;
        }
        state.beat = now;
        stalled
    }

    /// Whether users may be let in on what is known here.
    pub(super) fn is_held(&self) -> bool {
        let state = self.state.lock();
        state.confirmed
            && state.beat.elapsed() < STALLED
            && state.until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether those who are in have to go.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().until.is_none_or(|until| Instant::now() >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_from_when_its_record_was_sent() {
        let lease = Lease::new(Duration::from_secs(30));
        assert!(!lease.is_held());
        lease.renew(Instant::now());
        assert!(lease.is_held());
        let late = Lease::new(Duration::from_secs(30));
        if let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(31)) {
            late.renew(long_ago);
            assert!(!late.is_held());
        }
    }

    #[test]
    fn a_process_that_was_stopped_has_no_lease() {
        let lease = Lease::new(Duration::from_secs(30));
        lease.renew(Instant::now());
        let Some(before) = Instant::now().checked_sub(STALLED) else { return };
        lease.state.lock().beat = before;
        assert!(!lease.is_held());
        let sent = Instant::now();
        lease.renew(sent);
        assert!(lease.beat(), "it notices");
        lease.renew(sent);
        assert!(!lease.is_held(), "what was sent before says nothing about the time since");
        assert!(!lease.is_over(), "who is in stays: others see to it that nothing is left of old rights");
        lease.renew(Instant::now());
        assert!(lease.is_held());
    }

    #[test]
    fn a_lease_that_somebody_else_has_is_over_at_once() {
        let lease = Lease::new(Duration::from_secs(30));
        lease.renew(Instant::now());
        lease.end();
        assert!(!lease.is_held() && lease.is_over());
    }
}
