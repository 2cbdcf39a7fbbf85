//! What a connection says about itself, on its way to the bus's task. That some of it was lost is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// So many wait at most, while what was seen is being saved.
const REPORTS: usize = 128;

/// What the connection says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Connected,
    Disconnected,
    SlowConsumer,
    Refused(String),
    /// So many came faster than they were taken.
    Lost(u64),
}

/// Takes reports; never waits.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    sender: mpsc::Sender<Report>,
    lost: Arc<AtomicU64>,
}

/// Hands out reports in order.
#[derive(Debug)]
pub(crate) struct Reports {
    receiver: mpsc::Receiver<Report>,
    lost: Arc<AtomicU64>,
}

pub(super) fn channel() -> (Reporter, Reports) {
    let (sender, receiver) = mpsc::channel(REPORTS);
    let lost = Arc::<AtomicU64>::default();
    (Reporter { sender, lost: lost.clone() }, Reports { receiver, lost })
}

impl Reporter {
    pub(super) fn report(&self, report: Report) {
        if self.sender.try_send(report).is_err() {
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Reports {
    /// The next one. What was lost is said before what waits: whoever takes one of those is told with the next call.
    pub(crate) async fn recv(&mut self) -> Option<Report> {
        match self.lost.swap(0, Ordering::AcqRel) {
            0 => self.receiver.recv().await,
            lost => Some(Report::Lost(lost)),
        }
    }
}

#[cfg(test)]
mod tests;
