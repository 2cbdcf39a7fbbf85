//! Group commit: the one thread that writes.
//!
//! Everything that changes a store goes through one queue, in the order in which it was decided. The committer takes
//! all that is queued, applies it, syncs once, and only then lets it show: the committed mark of each stream moves,
//! consumers are told, publishers get their acknowledgements, requests that waited for their turn go on. While it
//! syncs, the next group collects; so the more is published at once, the more is covered by one sync.
//!
//! What is removed from a stream (by limits, age, acknowledgement, request) is removed here too, so that one thread
//! alone decides what a stream holds.

mod committer;
mod group;
mod removal;
mod restoring;
mod touched;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::{
    follower::Follower,
    sender::Sender,
    store::{Change, Record, Seq},
    stream::{Filters, Stream, Tails},
    stream_config::StreamConfig,
};
use crate::pressure::Pressure;

pub(crate) use committer::Committer;

/// Items that may wait, whatever their size.
const MAX_ITEMS: usize = 256 * 1024;

/// Counted for each item besides its message, so that small ones have a bound too.
const ITEM_BYTES: usize = 128;

/// How long a worker waits for the committer to come to what it wants of it. That takes a group, which is short, unless the
/// store has to be opened again, and for ever when the committer has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done, in its turn.
pub(crate) enum Item {
    /// A message that a stream has taken.
    Message(Publish),
    /// A message that a stream has counted and nobody wants.
    Skip(Skip),
    /// A message that a stream has taken before.
    Seen(Seen),
    /// Something else that changes a stream.
    Operation { stream: Arc<Stream>, operation: Operation, then: Then },
    /// An answer that is sent once everything before it is durable.
    Reply(Reply),
    /// Something to be done once everything before it is durable, and the bytes that it holds.
    Then { job: Box<dyn FnOnce() + Send>, bytes: usize },
}

/// What follows an operation, once it is durable or has failed.
pub(crate) type Then = Box<dyn FnOnce(Result<Done, Failure>, &mut Sender) + Send>;

/// A message that a stream has taken: it has its sequence, and waits to be stored.
pub(crate) struct Publish {
    pub(crate) stream: Arc<Stream>,
    /// The epoch of the stream it was taken in; after a failure what was taken before is void.
    pub(crate) epoch: u64,
    pub(crate) seq: Seq,
    pub(crate) record: Record,
    /// When the message is to be removed; nanoseconds since 1970.
    pub(crate) expires: Option<i64>,
    /// What it replaces.
    pub(crate) rollup: Option<Rollup>,
    /// Where the acknowledgement goes.
    pub(crate) reply: Option<Box<str>>,
}

/// A message that a stream has counted and nobody wants: it takes a sequence and nothing else.
pub(crate) struct Skip {
    pub(crate) stream: Arc<Stream>,
    pub(crate) epoch: u64,
    pub(crate) seq: Seq,
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    /// What it replaces all the same, of this subject.
    pub(crate) rollup: Option<(Rollup, Arc<str>)>,
    /// Where the acknowledgement goes.
    pub(crate) reply: Option<Box<str>>,
}

/// A message that a stream has taken before: it is acknowledged once the first one is durable.
pub(crate) struct Seen {
    pub(crate) stream: Arc<Stream>,
    pub(crate) epoch: u64,
    /// The sequence of the first one.
    pub(crate) seq: Seq,
    pub(crate) reply: Box<str>,
}

/// What a message replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollup {
    /// All earlier messages of its subject.
    Subject,
    /// All earlier messages of the stream.
    Stream,
}

/// A change of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Begin to exist, with these state entries.
    Create(Vec<Change>),
    /// Take this configuration, and apply its limits.
    Configure(Arc<StreamConfig>),
    /// These changes of state entries.
    Write(Vec<Change>),
    /// Delete one message.
    Delete(Seq),
    /// Delete many.
    Purge(Purge),
    /// A consumer is done with this message.
    Processed(Seq),
    /// A consumer is gone, or wants something else, and was done up to this sequence: delete what only it wanted.
    InterestLost(Seq),
    /// Delete what consumers are done with, from this sequence on. After a crash it may be stored that a consumer is
    /// done, and the message may still be there.
    Sweep(Seq),
    /// Delete what is too old.
    Expire,
    /// Go on with the limits, where there was more to delete than fits into one group.
    Limits,
    /// Delete the whole stream.
    Drop,
}

/// Which messages a purge deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) filter: Filters,
    pub(crate) bound: PurgeBound,
}

impl Purge {
    /// Where it moves the end of the stream to, if the stream ends before.
    pub(crate) fn end(&self) -> Option<Seq> {
        match self.bound {
            PurgeBound::Before(seq) if self.filter.is_everything() => Some(seq.saturating_sub(1)),
            _ => None,
        }
    }
}

/// Where a purge ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PurgeBound {
    /// Everything.
    All,
    /// What is before this sequence.
    Before(Seq),
    /// All but the newest so many.
    Keep(u64),
    /// From the one sequence to the other: what is left of a purge.
    Within(Seq, Seq),
}

/// What an operation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    /// Messages that were removed by it.
    pub(crate) removed: u64,
}

/// Why a group could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The disk is full.
    #[error("insufficient storage resources available")]
    Full,
    /// The stream was deleted meanwhile.
    #[error("the stream is gone")]
    Gone,
    /// The storage engine failed; the text is for the log.
    #[error("storage failed: {0}")]
    Failed(String),
}

/// What waits for the committer.
#[derive(Default)]
pub(crate) struct CommitQueue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    pressure: Arc<Pressure>,
    /// Bytes from which on publishers are told to wait.
    bound: usize,
    /// What was written last, of all streams.
    pub(super) tails: Tails,
}

#[derive(Default)]
struct Waiting {
    items: Vec<Item>,
    bytes: usize,
    /// Consumers whose state has changed, each at most once.
    changed: Vec<Arc<dyn Follower>>,
    /// The committer works on a group.
    busy: bool,
    stopping: bool,
}

/// What the committer works on next.
struct Work {
    items: Vec<Item>,
    changed: Vec<Arc<dyn Follower>>,
}

impl CommitQueue {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, ..Self::default() }
    }

    /// Queues an item. Answers whom to wait for before queueing more, when the queue is full.
    pub(crate) fn push(&self, item: Item) -> Option<Arc<Pressure>> {
        let pressure = self.push_in_batch(item);
        self.nudge();
        pressure
    }

    /// The same, but the committer may learn of it with the next [`CommitQueue::nudge`] only.
    pub(crate) fn push_in_batch(&self, item: Item) -> Option<Arc<Pressure>> {
        let bytes = ITEM_BYTES + item.bytes();
        let mut waiting = self.waiting.lock();
        waiting.items.push(item);
        waiting.bytes += bytes;
        let full = waiting.bytes > self.bound || waiting.items.len() > MAX_ITEMS;
        if full {
            self.pressure.raise();
        }
        drop(waiting);
        full.then(|| Arc::clone(&self.pressure))
    }

    /// Wakes the committer, if it waits.
    pub(crate) fn nudge(&self) {
        self.filled.notify_one();
    }

    /// Queues an operation.
    pub(crate) fn operate(
        &self,
        stream: &Arc<Stream>,
        operation: Operation,
        then: impl FnOnce(Result<Done, Failure>, &mut Sender) + Send + 'static,
    ) {
        let _pressure =
            self.push(Item::Operation { stream: Arc::clone(stream), operation, then: Box::new(then) });
    }

    /// Notes that a consumer is done with a message, which a stream with interest or work-queue retention may then
    /// remove.
    pub(crate) fn processed(&self, stream: &Arc<Stream>, seq: Seq) {
        self.operate(stream, Operation::Processed(seq), |_, _| {});
    }

    /// Notes that a consumer's state has changed: it is asked for the changes when the next group is built.
    pub(crate) fn changed(&self, follower: Arc<dyn Follower>) {
        self.waiting.lock().changed.push(follower);
        self.nudge();
    }

    /// Whether nothing is queued or being written.
    pub(crate) fn is_idle(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.items.is_empty() && !waiting.busy
    }

    /// Bytes that jobs hold which wait.
    #[cfg(test)]
    pub(super) fn held_by_jobs(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.items.iter().filter(|item| matches!(item, Item::Then { .. })).map(Item::bytes).sum()
    }

    /// Runs `job`, which holds so many bytes, once everything that was queued before is durable: at once when nothing
    /// waits.
    ///
    /// Answers whom to wait for before queueing more, when too much waits.
    pub(crate) fn after(&self, bytes: usize, job: impl FnOnce() + Send + 'static) -> Option<Arc<Pressure>> {
        if self.is_idle() {
            job();
            return None;
        }
        self.push(Item::Then { job: Box::new(job), bytes })
    }

    /// Runs `job` on the committer's thread, between two groups: nothing of any stream changes meanwhile. Waits for it;
    /// `None` when the committer did not come to it: then it does not run later either.
    pub(crate) fn between_groups<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.between_groups_within(PATIENCE, job)
    }

    fn between_groups_within<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        // Whoever takes it first decides whether the job runs.
        let decided = Arc::new(AtomicBool::new(false));
        let run = {
            let decided = Arc::clone(&decided);
            move || {
                if !decided.swap(true, SeqCst) {
                    drop(answer.send(job()));
                }
            }
        };
        let _pressure = self.push(Item::Then { job: Box::new(run), bytes: 0 });
        match answered.recv_timeout(patience) {
            Ok(seen) => Some(seen),
            Err(_) if !decided.swap(true, SeqCst) => None,
            // It runs.
            Err(_) => answered.recv().ok(),
        }
    }

    /// Lets the committer end when it has done what is queued.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stopping = true;
        self.filled.notify_all();
    }

    /// Waits for work, or until `due`; takes what is there at once when there is work `left` from before. `None` when
    /// stopping and nothing is left.
    ///
    /// What is queued next goes into `spare`, which saves growing a new queue for each group.
    fn take(&self, left: bool, due: Option<Instant>, spare: Vec<Item>) -> Option<Work> {
        let mut waiting = self.waiting.lock();
        waiting.busy = left;
        while !left && waiting.items.is_empty() && waiting.changed.is_empty() {
            if waiting.stopping {
                return None;
            }
            match due {
                None => self.filled.wait(&mut waiting),
                Some(due) => {
                    if self.filled.wait_until(&mut waiting, due).timed_out() {
                        break;
                    }
                }
            }
        }
        waiting.busy = true;
        waiting.bytes = 0;
        let work = Work {
            items: std::mem::replace(&mut waiting.items, spare),
            changed: std::mem::take(&mut waiting.changed),
        };
        drop(waiting);
        self.pressure.release();
        Some(work)
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(publish) => publish.record.data.len() + publish.record.subject.len(),
            Self::Skip(Skip { reply, .. }) => reply.as_ref().map_or(0, |reply| reply.len()),
            Self::Seen(seen) => seen.reply.len(),
            Self::Reply(reply) => reply.to.len() + reply.body.len(),
            Self::Then { bytes, .. } => *bytes,
            Self::Operation { .. } => 0,
        }
    }
}

/// A message of the broker itself that waits for its turn.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) to: Box<str>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn send(&self, sender: &mut Sender) {
        let _receivers = sender.publish(&self.to, &self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(queue: &CommitQueue) -> usize {
        let work = queue.take(true, None, Vec::new()).unwrap();
        let jobs = work.items.into_iter().map(|item| match item {
            Item::Then { job, .. } => job(),
            _ => panic!("only jobs are queued"),
        });
        jobs.count()
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_done_later() {
        let queue = CommitQueue::new(1000);
        let done = Arc::new(AtomicBool::new(false));
        let later = Arc::clone(&done);
        let seen = queue.between_groups_within(Duration::ZERO, move || later.store(true, SeqCst));
        assert_eq!(seen, None);
        assert_eq!(run(&queue), 1);
        assert!(!done.load(SeqCst));
    }

    #[test]
    fn jobs_count_for_what_they_hold() {
        let queue = CommitQueue::new(10 * ITEM_BYTES);
        assert!(queue.push(Item::Then { job: Box::new(|| {}), bytes: 8 * ITEM_BYTES }).is_none());
        assert!(queue.push(Item::Then { job: Box::new(|| {}), bytes: 8 * ITEM_BYTES }).is_some());
        assert_eq!(run(&queue), 2);
    }
}
