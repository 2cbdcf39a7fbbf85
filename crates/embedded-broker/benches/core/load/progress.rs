//! What the publishing thread and the receiving thread tell each other.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Release},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{Access, PATIENCE, batch::Batch, client::Client};
use crate::{
    arguments::Effort,
    sample::{Reading, Sample},
};

/// How often a publisher that has to wait looks again.
const LOOK: Duration = Duration::from_micros(50);

/// Numbers of messages, seen from both sides.
pub(super) struct Progress {
    /// Every subscriber has received this many.
    received: AtomicU64,
    /// The receiving thread ends after this many.
    last: AtomicU64,
    failed: AtomicBool,
}

/// Publishes numbered messages, never too far ahead of the subscribers.
pub(super) struct Publisher<'a> {
    pub(super) client: &'a mut Client,
    pub(super) batch: Batch,
    pub(super) sent: u64,
    /// Most messages that may be under way. Far more than keeps a server busy, and so few that no server has to
    /// take the subscriber for a slow one.
    pub(super) window: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { received: AtomicU64::new(0), last: AtomicU64::new(u64::MAX), failed: AtomicBool::new(false) }
    }

    /// The receiving side notes where it is. Answers whether it is done.
    pub(super) fn note(&self, received: u64) -> bool {
        self.received.store(received, Release);
        received >= self.last.load(Acquire)
    }

    /// Lets the receiving side end once it has received this many.
    pub(super) fn end_after(&self, received: u64) {
        self.last.store(received, Release);
    }

    /// Runs the receiving side; wakes the publisher if it fails.
    pub(super) fn watch(&self, receive: impl FnOnce() -> Result<()>) -> Result<()> {
        let outcome = receive();
        if outcome.is_err() {
            self.failed.store(true, Release);
        }
        outcome
    }

    /// Waits until everybody has received this many.
    fn wait_for(&self, received: u64) -> Result<()> {
        let mut known = self.received.load(Acquire);
        let mut moved = Instant::now();
        while known < received {
            if self.failed.load(Acquire) {
                bail!("the receiving side failed");
            }
            std::thread::sleep(LOOK);
            let now = self.received.load(Acquire);
            if now > known {
                (known, moved) = (now, Instant::now());
            } else if moved.elapsed() > PATIENCE {
                bail!("message {known} and what follows is lost: {received} were published");
            }
        }
        Ok(())
    }
}

impl Publisher<'_> {
    /// Publishes for this long and waits until all of it is received.
    fn publish_for(&mut self, time: Duration, progress: &Progress) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            progress.wait_for((self.sent + self.batch.len()).saturating_sub(self.window))?;
            self.send()?;
        }
        progress.wait_for(self.sent)
    }

    /// Publishes the last messages, after which the receiving side ends.
    fn finish(&mut self, progress: &Progress) -> Result<()> {
        progress.end_after(self.sent + self.batch.len());
        self.send()?;
        progress.wait_for(self.sent)?;
        self.client.sync()
    }

    /// Warms up, measures, finishes. Each message counts for as many operations as it has subscribers.
    pub(super) fn measure(
        &mut self,
        access: &Access<'_>,
        effort: &Effort,
        progress: &Progress,
        subscribers: u64,
    ) -> Result<Sample> {
        self.publish_for(effort.warm_up, progress)?;
        let (before, sent) = (Reading::take(access.process)?, self.sent);
        self.publish_for(effort.measured, progress)?;
        let after = Reading::take(access.process)?;
        let sample = after.since(&before, (self.sent - sent) * subscribers);
        self.finish(progress)?;
        Ok(sample)
    }

    fn send(&mut self) -> Result<()> {
        self.client.send(self.batch.numbered(self.sent))?;
        self.sent += self.batch.len();
        Ok(())
    }
}

/// The publisher's result, unless the receiving side has a better word on why there is none.
pub(super) fn joined<T>(receiving: std::thread::Result<Result<()>>, publishing: Result<T>) -> Result<T> {
    match receiving {
        Ok(Ok(())) => publishing,
        Ok(Err(error)) => Err(error),
        Err(_) => bail!("the receiving thread panicked"),
    }
}
