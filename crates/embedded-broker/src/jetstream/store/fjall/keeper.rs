//! A thread for what nobody waits for: the messages of dropped streams, marks that are due, the reserve of space.

use super::{Shared, batch::Failed, keys};
use crate::jetstream::store::{StoreError, StreamId};
use parking_lot::{Condvar, Mutex};
use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// So many entries are deleted per batch: the thread that writes waits for one such batch at most.
const STEP: usize = 1000;
/// How often free space and the reserve are looked at, and a sweep is tried again that failed.
const EVERY: Duration = Duration::from_secs(10);

/// The thread's handle.
pub(super) struct Keeper {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Orders {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    stop: bool,
    sweep: bool,
    write_marks: Option<Instant>,
}

enum Task {
    Stop,
    Sweep,
    WriteMarks,
    Routine,
}

impl Keeper {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let orders = Arc::new(Orders::default());
        orders.pending.lock().sweep = true;
        let thread = std::thread::Builder::new().name("stream-keeper".into()).spawn({
            let orders = Arc::clone(&orders);
            move || run(&shared, &orders)
        })?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// There are dropped streams.
    pub(super) fn sweep(&self) {
        self.orders.pending.lock().sweep = true;
        self.orders.changed.notify_one();
    }

    /// Marks are to be written at this time.
    pub(super) fn write_marks(&self, at: Instant) {
        let mut pending = self.orders.pending.lock();
        if pending.write_marks.is_none() {
            pending.write_marks = Some(at);
            self.orders.changed.notify_one();
        }
    }

    /// Stops it and waits for it.
    pub(super) fn stop(&mut self) {
        self.orders.pending.lock().stop = true;
        self.orders.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of the streams panicked");
        }
    }
}

impl Orders {
    fn next(&self) -> Task {
        let mut pending = self.pending.lock();
        let routine = Instant::now() + EVERY;
        loop {
            if pending.stop {
                return Task::Stop;
            }
            if pending.write_marks.is_some_and(|at| at <= Instant::now()) {
                pending.write_marks = None;
                return Task::WriteMarks;
            }
            if std::mem::take(&mut pending.sweep) {
                return Task::Sweep;
            }
            let until = pending.write_marks.map_or(routine, |at| at.min(routine));
            if self.changed.wait_until(&mut pending, until).timed_out() && until == routine {
                return Task::Routine;
            }
        }
    }
}

fn run(shared: &Shared, orders: &Orders) {
    let mut sweep = Sweep::default();
    loop {
        let swept = match orders.next() {
            Task::Stop => return,
            Task::WriteMarks => {
                shared.catch_up_marks();
                continue;
            }
            Task::Sweep => sweep.step(shared),
            Task::Routine => {
                shared.space.look();
                shared.space.take_reserve_if_possible();
                sweep.step(shared)
            }
        };
        match swept {
            Ok(Progress::More) => orders.pending.lock().sweep = true,
            Ok(Progress::Done) => {}
            // It is tried again with the next routine.
            Err(error) => tracing::warn!(%error, "cannot delete the messages of a dropped stream yet"),
        }
    }
}

enum Progress {
    More,
    Done,
}

/// Where a sweep is. Tombstones of what was deleted just now are slow to pass, so it does not begin anew with each step.
#[derive(Default)]
struct Sweep {
    stream: Option<StreamId>,
    message: Option<Vec<u8>>,
    subject: Option<Vec<u8>>,
}

impl Sweep {
    fn step(&mut self, shared: &Shared) -> Result<Progress, StoreError> {
        let found = shared.read(|reader| {
            let Some(stream) = reader.dropped()? else { return Ok(None) };
            if self.stream != Some(stream) {
                *self = Self { stream: Some(stream), ..Self::default() };
            }
            let messages = reader.keys_of(&reader.engine.messages, stream, self.message.as_ref(), STEP)?;
            let subjects = reader.keys_of(&reader.engine.subjects, stream, self.subject.as_ref(), STEP)?;
            Ok(Some((stream, messages, subjects)))
        })?;
        let Some((stream, messages, subjects)) = found else { return Ok(Progress::Done) };
        let first = keys::state(stream, &[]);
        let is_done = messages.is_empty() && subjects.is_empty();
        let last = |keys: &[fjall::UserKey], before: Option<Vec<u8>>| {
            keys.last().map(|key| key.to_vec()).or(before).or_else(|| Some(first.clone()))
        };
        let message = last(&messages, self.message.take());
        let subject = last(&subjects, self.subject.take());
        shared.apply_own(|batch| {
            for key in messages {
                batch.remove_message(key);
            }
            for key in subjects {
                batch.remove_subject(key);
            }
            if is_done {
                batch.clear_state(keys::dropped(stream));
            }
            Ok::<_, Failed>(())
        })?;
        (self.message, self.subject) = (message, subject);
        if is_done {
            *self = Self::default();
        }
        Ok(Progress::More)
    }
}
