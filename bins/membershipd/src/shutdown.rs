//! Stopping: steps in order under one deadline, and an account of what did not finish.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// How long stopping may take in all. Unit files give more (`TimeoutStopSec=60`).
pub(crate) const STOP_EMBEDDED: Duration = Duration::from_secs(10);
/// The same where clients are given time to find another node.
pub(crate) const STOP_CLUSTERED: Duration = Duration::from_secs(40);

/// A stop in progress.
#[derive(Debug)]
pub(crate) struct Stop {
    deadline: Instant,
    aborted: Vec<String>,
}

/// How a stop went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReport {
    /// What was cut off because its time was over, in the order it was reached.
    pub aborted: Vec<String>,
}

impl Stop {
    /// Everything from here on shares `limit`.
    pub(crate) fn within(limit: Duration) -> Self {
        Self { deadline: Instant::now() + limit, aborted: Vec::new() }
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Runs one step; `None` when the deadline came first, which the report will say.
    pub(crate) async fn step<T>(&mut self, what: &str, step: impl Future<Output = T>) -> Option<T> {
        let done = tokio::time::timeout_at(self.deadline, step).await.ok();
        if done.is_none() {
            self.abort(what.to_owned());
        }
        done
    }

    /// Notes that something was cut off.
    pub(crate) fn abort(&mut self, what: String) {
        self.aborted.push(what);
    }

    /// What happened.
    pub(crate) fn report(self) -> StopReport {
        StopReport { aborted: self.aborted }
    }
}

impl StopReport {
    /// Whether everything finished by itself.
    pub fn is_clean(&self) -> bool {
        self.aborted.is_empty()
    }
}

#[cfg(test)]
mod tests;
