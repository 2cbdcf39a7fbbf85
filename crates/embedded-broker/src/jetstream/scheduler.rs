//! The worker threads of JetStream: who has something to do now, and who at which time.
//!
//! What has work is a [`Run`]: a consumer, a stream, the queue of API requests. It is queued at most once, and runs on
//! one worker at a time; being woken while it runs means that it runs again. So each of them is a small actor, and
//! none needs a lock that is held while the disk is read.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use super::{engine::Engine, sender::Sender};

/// Something that works in turns.
pub(crate) trait Run: Send + Sync {
    /// Does what there is to do, a bounded amount of it. What is left over is done in another turn, for which it wakes
    /// itself.
    fn run(self: Arc<Self>, worker: &mut Worker);

    /// Whether it is queued or running.
    fn turn(&self) -> &Turn;
}

/// Whether something is queued or running; for the scheduler only.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicU8);

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Running, and woken meanwhile.
const AGAIN: u8 = 3;

/// What a run works with.
pub(crate) struct Worker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sender: Sender,
}

/// Who is to run. Bounded by the number of streams and consumers, each of which is in it once, and their timers.
#[derive(Default)]
pub(crate) struct Scheduler {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<dyn Run>>,
    timers: BinaryHeap<Reverse<Timer>>,
    next_timer: u64,
    stopping: bool,
}

struct Timer {
    at: Instant,
    /// Makes the order total.
    number: u64,
    who: Weak<dyn Run>,
}

impl Turn {
    /// Notes a wake-up; answers whether it has to be queued.
    pub(super) fn woken(&self) -> bool {
        let before = self.0.fetch_update(SeqCst, SeqCst, |turn| match turn {
            IDLE => Some(QUEUED),
            RUNNING => Some(AGAIN),
            _ => None,
        });
        before == Ok(IDLE)
    }

    pub(super) fn begins(&self) {
        self.0.store(RUNNING, SeqCst);
    }

    /// Notes the end of a turn; answers whether it has to be queued again.
    pub(super) fn ends(&self) -> bool {
        let before =
            self.0.fetch_update(SeqCst, SeqCst, |turn| Some(if turn == AGAIN { QUEUED } else { IDLE }));
        before == Ok(AGAIN)
    }
}

impl Scheduler {
    /// Lets it run soon.
    pub(crate) fn wake(&self, who: &Arc<dyn Run>) {
        if self.queue(who) {
            self.nudge();
        }
    }

    /// Lets it run, at the latest after the next [`Scheduler::nudge`]. Answers whether it was not queued already.
    pub(crate) fn queue(&self, who: &Arc<dyn Run>) -> bool {
        let queue = who.turn().woken();
        if queue {
            self.queue.lock().ready.push_back(Arc::clone(who));
        }
        queue
    }

    /// Wakes a worker that waits; it wakes the next one if there is more to do.
    pub(crate) fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Lets it run at that time, if it still exists. Times cannot be taken back: a run finds out what is due.
    pub(crate) fn at(&self, at: Instant, who: Weak<dyn Run>) {
        let mut queue = self.queue.lock();
        let number = queue.next_timer;
        queue.next_timer += 1;
        let first = queue.timers.peek().is_none_or(|Reverse(next)| at < next.at);
        queue.timers.push(Reverse(Timer { at, number, who }));
        drop(queue);
        if first {
            // Whoever waits, waits for too long now.
            self.wake.notify_one();
        }
    }

    /// Ends the workers after what they are running.
    pub(crate) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.wake.notify_all();
    }

    /// Works until it is stopped.
    pub(super) fn work(&self, mut worker: Worker) {
        while let Some(next) = self.next() {
            next.turn().begins();
            Arc::clone(&next).run(&mut worker);
            worker.sender.flush();
            if next.turn().ends() {
                // This worker goes on, and wakes another one if there is more.
                self.queue.lock().ready.push_back(next);
            }
        }
    }

    fn next(&self) -> Option<Arc<dyn Run>> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopping {
                return None;
            }
            let due = queue.fire(Instant::now());
            if let Some(next) = queue.ready.pop_front() {
                if !queue.ready.is_empty() {
                    self.wake.notify_one();
                }
                return Some(next);
            }
            match due {
                Some(at) => drop(self.wake.wait_until(&mut queue, at)),
                None => self.wake.wait(&mut queue),
            }
        }
    }
}

impl Queue {
    /// Queues everybody whose time has come; answers when the next one's comes.
    fn fire(&mut self, now: Instant) -> Option<Instant> {
        while let Some(Reverse(timer)) = self.timers.peek() {
            if timer.at > now {
                return Some(timer.at);
            }
            let who = self.timers.pop().and_then(|Reverse(timer)| timer.who.upgrade());
            if let Some(who) = who.filter(|who| who.turn().woken()) {
                self.ready.push_back(who);
            }
        }
        None
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
