//! Work of a store beside its callers: each piece owned and joined, and a bounded number of those that block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::{BlobError, Health};

/// What every part of a store shares.
#[derive(Debug)]
pub(crate) struct Jobs {
    tracker: TaskTracker,
    places: Arc<Semaphore>,
    damaged: AtomicU64,
    full: AtomicBool,
    /// Bytes that uploads under way have announced and not yet written.
    pub(crate) promised: AtomicU64,
}

impl Jobs {
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            tracker: TaskTracker::new(),
            places: Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS))),
            damaged: AtomicU64::new(0),
            full: AtomicBool::new(false),
            promised: AtomicU64::new(0),
        }
    }

    /// Starts a job, which runs to its end whether or not anybody waits for it.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<Result<T, BlobError>> {
        // There is a place nearly always; then there is nothing to wait for.
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return self.tracker.spawn_blocking(move || {
                let outcome = job();
                drop(place);
                Ok(outcome)
            });
        }
        let (places, tracker) = (self.places.clone(), self.tracker.clone());
        self.tracker.spawn(async move {
            let place = places.acquire_owned().await.map_err(|_| BlobError::Unavailable)?;
            let run = move || {
                let outcome = job();
                drop(place);
                outcome
            };
            tracker.spawn_blocking(run).await.map_err(|error| {
                tracing::error!(%error, "a job of the file store ended unexpectedly");
                BlobError::Unavailable
            })
        })
    }

    /// Starts two jobs that run beside each other.
    pub(crate) fn start_both<A: Send + 'static, B: Send + 'static>(
        &self,
        one: impl FnOnce() -> A + Send + 'static,
        other: impl FnOnce() -> B + Send + 'static,
    ) -> JoinHandle<Result<(A, B), BlobError>> {
        let (one, other) = (self.start(one), self.start(other));
        self.tracker.spawn(async move { Ok((joined(one).await?, joined(other).await?)) })
    }

    /// Starts work that waits rather than blocks; it runs to its end whether or not anybody waits for it.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tracker.spawn(work)
    }

    /// Whether the store was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// Runs a job and waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        joined(self.start(job)).await?
    }

    /// Waits for the job and drops what it leaves, where dropping may touch the disk.
    pub(crate) fn dispose<T: Send + 'static>(&self, job: JoinHandle<Result<T, BlobError>>) {
        let tracker = self.tracker.clone();
        // A job that waits for its place holds what it will leave, and drops it when the store is closed.
        self.tracker.spawn(async move {
            if let Ok(left) = job.await {
                drop(tracker.spawn_blocking(move || drop(left)).await);
            }
        });
    }

    pub(crate) fn found_damage(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_room(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(crate) fn health(&self) -> Health {
        Health { damaged: self.damaged.load(Ordering::Relaxed), full: self.full.load(Ordering::Relaxed) }
    }

    pub(crate) async fn close(&self) {
        self.places.close();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Room that an upload has announced to need.
pub(crate) struct Promise {
    pub(crate) jobs: Arc<Jobs>,
    bytes: u64,
}

impl Promise {
    pub(crate) fn new(jobs: Arc<Jobs>, bytes: u64) -> Self {
        jobs.promised.fetch_add(bytes, Ordering::Relaxed);
        Self { jobs, bytes }
    }

    /// So much of it is written.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let kept = bytes.min(self.bytes);
        self.bytes -= kept;
        self.jobs.promised.fetch_sub(kept, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.keep(self.bytes);
    }
}

/// The outcome of a job that was started.
pub(crate) async fn joined<T>(job: JoinHandle<Result<T, BlobError>>) -> Result<T, BlobError> {
    job.await.unwrap_or(Err(BlobError::Unavailable))
}
