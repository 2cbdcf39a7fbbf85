//! Messages that were given to this worker together, and are dealt with in turn.

use bus_client::Job;
use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// What a queue counts in seconds is not told more often.
const SHORTEST: Duration = Duration::from_millis(300);

/// Messages, the first of which may be dealt with already.
pub(super) struct Batch {
    jobs: Vec<Job>,
    /// So many are not held any more.
    let_go: Cell<usize>,
}

impl Batch {
    pub(super) fn new(jobs: Vec<Job>) -> Self {
        Self { jobs, let_go: Cell::new(0) }
    }

    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The next message is not held any more.
    pub(super) fn let_go(&self) {
        self.let_go.set(self.let_go.get() + 1);
    }

    /// Does the work, and keeps the queue from giving any message that is held to somebody else meanwhile.
    pub(super) async fn hold_while<T>(&self, ack_wait: Duration, work: impl Future<Output = T>) -> T {
        tokio::select! {
            outcome = work => outcome,
            never = self.hold(ack_wait) => match never {},
        }
    }

    /// Tells the queue every third of `ack_wait` that these messages take longer. Those that wait behind another do, too.
    async fn hold(&self, ack_wait: Duration) -> Infallible {
        let mut ticks = tokio::time::interval((ack_wait / 3).max(SHORTEST));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            for (place, job) in self.jobs.iter().enumerate() {
                if place < self.let_go.get() {
                    continue;
                }
                if let Err(error) = job.progress().await {
                    tracing::warn!(%error, "the queue does not know that a message is still worked on");
                }
            }
        }
    }
}
