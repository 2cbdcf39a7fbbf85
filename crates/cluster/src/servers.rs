//! The servers of an external NATS, as they were seen lately.
//!
//! Who is missing for a while may come back with connections that should have been closed, so it is remembered for some
//! time, and closing connections is not said to be done without it.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a server that is not seen any more is expected back. One that stops says so and is forgotten at once; one
/// that was killed has no connections left, but nobody can tell it from one that is only cut off.
const REMEMBERED: Duration = Duration::from_mins(2);

/// Servers by id.
#[derive(Default)]
pub(crate) struct Servers(Mutex<HashMap<String, Instant>>);

impl Servers {
    /// A server is there.
    pub(crate) fn saw(&self, server_id: &str) {
        self.saw_at(server_id, Instant::now());
    }

    /// A server has ended.
    pub(crate) fn forget(&self, server_id: &str) {
        self.0.lock().remove(server_id);
    }

    /// Whether it was there lately.
    pub(crate) fn contains(&self, server_id: &str) -> bool {
        self.lately().iter().any(|id| id == server_id)
    }

    /// All that were there lately.
    pub(crate) fn lately(&self) -> Vec<String> {
        self.lately_at(Instant::now())
    }

    fn saw_at(&self, server_id: &str, now: Instant) {
        let mut servers = self.0.lock();
        servers.retain(|_, seen| is_lately(*seen, now));
        servers.insert(server_id.to_owned(), now);
    }

    fn lately_at(&self, now: Instant) -> Vec<String> {
        let servers = self.0.lock();
        servers.iter().filter(|(_, seen)| is_lately(**seen, now)).map(|(id, _)| id.clone()).collect()
    }
}

fn is_lately(seen: Instant, now: Instant) -> bool {
    now.saturating_duration_since(seen) <= REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_expected_until_it_says_goodbye_or_is_long_gone() {
        let servers = Servers::default();
        let start = Instant::now();
        servers.saw_at("N1", start);
        servers.saw_at("N2", start);
        servers.forget("N1");
        assert_eq!(servers.lately_at(start + REMEMBERED), ["N2"], "still expected");
        servers.saw_at("N3", start + REMEMBERED);
        assert_eq!(servers.lately_at(start + REMEMBERED + Duration::from_millis(1)), ["N3"]);
    }
}
