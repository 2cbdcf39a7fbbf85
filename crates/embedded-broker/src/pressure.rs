//! Back pressure from a queue inside the broker to the connections that fill it.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use tokio::sync::Notify;

/// Whether a queue is so full that those who fill it should wait.
///
/// It is advice: a publisher that is told finishes the batch it is in, so that the queue can exceed its bound by one
/// batch of each connection.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    high: AtomicBool,
    released: Notify,
}

impl Pressure {
    /// Notes that the queue is full.
    pub(crate) fn raise(&self) {
        self.high.store(true, SeqCst);
    }

    /// Notes that there is room again.
    pub(crate) fn release(&self) {
        if self.high.swap(false, SeqCst) {
            self.released.notify_waiters();
        }
    }

    pub(crate) fn is_high(&self) -> bool {
        self.high.load(SeqCst)
    }

    /// Waits until there is room, at most for `limit`.
    pub(crate) async fn wait(&self, limit: Duration) {
        let mut released = std::pin::pin!(self.released.notified());
        // Registered before the flag is read, so that a release in between is not missed.
        released.as_mut().enable();
        if self.is_high() {
            // Time-out is fine: whoever is still told to wait waits again after its next batch.
            drop(tokio::time::timeout(limit, released).await);
        }
    }
}
