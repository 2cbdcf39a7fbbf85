//! One group: what is applied to one store and synced together.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use super::{
    Operation, Publish, Skip,
    restoring::Restoring,
    touched::{Replacing, TouchedStream, Waiting},
};
use crate::jetstream::{
    store::{Change, StoreError, StreamId, StreamStore},
    stream::Stream,
    ttl,
};

/// A group in the making.
pub(super) struct Group {
    store: Arc<dyn StreamStore>,
    /// What is to be applied.
    pub(super) changes: Vec<Change>,
    /// By number of the stream.
    touched: HashMap<u32, TouchedStream, RandomState>,
    /// Streams of which messages were left out.
    left_out: Vec<StreamId>,
    /// Something in it is to be on disk before it shows.
    pub(super) needs_sync: bool,
    /// What is too much for one group, and goes on in the next one.
    pub(super) rests: Vec<(Arc<Stream>, Operation)>,
}

/// What an operation came to.
pub(super) struct Outcome {
    /// Messages that were removed.
    pub(super) removed: u64,
    /// What is left of it for the next group.
    pub(super) rest: Option<Operation>,
}

impl Outcome {
    /// It is finished, and so many messages are gone.
    pub(super) fn removed(removed: u64) -> Self {
        Self { removed, rest: None }
    }
}

impl Group {
    pub(super) fn new(store: Arc<dyn StreamStore>) -> Self {
        Self {
            store,
            changes: Vec::new(),
            touched: HashMap::default(),
            left_out: Vec::new(),
            needs_sync: false,
            rests: Vec::new(),
        }
    }

    /// Adds a message.
    pub(super) fn put(&mut self, publish: Publish) -> Result<(), StoreError> {
        self.needs_sync = true;
        self.touch(&publish.stream).put(&publish);
        let Publish { stream, seq, record, expires, rollup, .. } = publish;
        // Whether it is listed is decided when it is applied.
        self.changes.push(Change::Put { stream: stream.id, seq, record, listed: false });
        if let Some(expires) = expires {
            self.changes.push(ttl::entry(stream.id, expires, seq));
        }
        // What it replaces goes after what there is no room for, and before those that come next: what is left is not
        // to depend on what is written together.
        if rollup.is_some() && stream.config().discards_oldest() { self.apply() } else { Ok(()) }
    }

    /// Leaves a message out that there is no room for, and with it all that was taken after it. What was taken before
    /// counts. Answers whether it is one of those; else it is void already, because of what a group before has left out.
    pub(super) fn leave_out(&mut self, publish: &Publish) -> bool {
        let stream = &publish.stream;
        if publish.epoch != stream.epoch() {
            return self.left_out.contains(&stream.id);
        }
        self.left_out.push(stream.id);
        if let Some(touched) = self.touched(stream) {
            touched.count();
        }
        stream.void_assigned();
        stream.put_off_expiry();
        true
    }

    /// Adds a sequence without a message.
    pub(super) fn skip(&mut self, Skip { stream, seq, time, rollup, .. }: &Skip) {
        self.needs_sync = true;
        let touched = self.touch(stream);
        touched.waiting.push(Waiting::Skip { seq: *seq, time: *time });
        if let Some((rollup, subject)) = rollup {
            let (rollup, subject, seq) = (*rollup, Arc::clone(subject), *seq);
            touched.rollups.push(Replacing { rollup, subject, seq, is_stored: false });
        }
    }

    /// Does an operation, which sees everything before it.
    pub(super) fn operate(
        &mut self,
        stream: &Arc<Stream>,
        operation: &Operation,
    ) -> Result<Outcome, StoreError> {
        self.needs_sync |= operation.needs_sync();
        match operation {
            Operation::Create(changes) | Operation::Write(changes) => {
                self.changes.extend(changes.iter().cloned());
                Ok(Outcome::removed(0))
            }
            Operation::Configure(config) => {
                self.changes.push(stream.config_change(config));
                stream.set_config(Arc::clone(config));
                stream.look_at_all_ages();
                let touched = self.touch(stream);
                touched.limits_changed = true;
                touched.look_for_expiry = true;
                self.apply()?;
                Ok(Outcome::removed(0))
            }
            Operation::Drop => {
                // Messages of the stream that wait are of no use any more.
                self.touched.remove(&stream.id.0);
                self.changes.retain(|change| change.stream() != stream.id);
                self.changes.push(Change::DropStream { stream: stream.id });
                stream.forget();
                Ok(Outcome::removed(0))
            }
            Operation::Processed(seq) => {
                self.touch(stream).processed.push(*seq);
                Ok(Outcome::removed(0))
            }
            Operation::Limits => {
                self.touch(stream).unlimited = true;
                self.apply()?;
                Ok(Outcome::removed(0))
            }
            Operation::Delete(seq) => {
                self.apply()?;
                self.remove_one(stream, *seq).map(Outcome::removed)
            }
            Operation::InterestLost(from) => {
                self.apply()?;
                self.lose_interest(stream, *from)
            }
            Operation::Sweep(from) => {
                self.apply()?;
                self.sweep(stream, *from)
            }
            Operation::Purge(purge) => {
                self.apply()?;
                self.purge(stream, purge)
            }
            Operation::Expire => {
                self.apply()?;
                self.expire(stream).map(Outcome::removed)
            }
        }
    }

    /// Applies what is left, totals included.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.apply()
    }

    /// Applies what waits, then what follows from it.
    fn apply(&mut self) -> Result<(), StoreError> {
        for touched in self.touched.values_mut() {
            touched.count();
        }
        let concerned = self.touched.values().filter(|touched| touched.has_consequences());
        let streams: Vec<_> = concerned.map(|touched| Arc::clone(&touched.stream)).collect();
        for stream in streams {
            let touched = self.touch(&stream);
            if !touched.rollups.is_empty() || !touched.processed.is_empty() {
                // What is removed may be among what waits.
                self.flush()?;
            }
            let processed = std::mem::take(&mut self.touch(&stream).processed);
            self.remove_processed(&stream, processed)?;
            self.limit(&stream)?;
            let rollups = std::mem::take(&mut self.touch(&stream).rollups);
            for replacing in rollups {
                self.roll_up(&stream, &replacing)?;
            }
        }
        self.flush()
    }

    /// Applies what waits, with the totals that belong to it.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        for touched in self.touched.values_mut() {
            touched.settle(&mut self.changes);
        }
        if !self.changes.is_empty() {
            self.list();
            self.store.apply(&self.changes)?;
            for touched in self.touched.values_mut() {
                touched.applied();
            }
            self.keep_applied();
        }
        Ok(())
    }

    /// Decides which of the messages that are applied next are listed in the store's index of subjects.
    fn list(&mut self) {
        if self.touched.values().all(|touched| touched.listed.is_empty()) {
            return;
        }
        // Neighbours often have the same subject.
        let mut before: Option<(StreamId, Arc<str>, bool)> = None;
        for change in &mut self.changes {
            let Change::Put { stream, record, listed, .. } = change else { continue };
            *listed = match &before {
                Some((of, subject, listed)) if of == stream && *subject == record.subject => *listed,
                _ => self
                    .touched
                    .get(&stream.0)
                    .is_some_and(|touched| touched.listed.contains(&record.subject)),
            };
            before = Some((*stream, Arc::clone(&record.subject), *listed));
        }
    }

    /// Keeps the messages that were applied, for those who read them next.
    fn keep_applied(&mut self) {
        let messages = self.changes.drain(..).filter_map(|change| match change {
            Change::Put { stream, seq, record, .. } => Some((stream, (seq, record))),
            _ => None,
        });
        let mut messages = messages.peekable();
        // Run by run, each of one stream.
        while let Some((id, _)) = messages.peek() {
            let id = *id;
            let run =
                std::iter::from_fn(|| messages.next_if(|(of, _)| *of == id).map(|(_, message)| message));
            match self.touched.get(&id.0) {
                Some(touched) => touched.stream.keep(run),
                None => run.for_each(drop),
            }
        }
    }

    pub(super) fn touch(&mut self, stream: &Arc<Stream>) -> &mut TouchedStream {
        self.touched.entry(stream.id.0).or_insert_with(|| TouchedStream::new(Arc::clone(stream)))
    }

    /// Lets everybody see what was done.
    pub(super) fn show(self) {
        for touched in self.touched.into_values() {
            touched.show();
        }
    }

    /// Has everything that was touched go back to what is stored.
    pub(super) fn roll_back(self, restoring: &mut Restoring) {
        for touched in self.touched.into_values() {
            restoring.add(touched);
        }
    }

    /// What it did to a stream, if it did something.
    pub(super) fn touched(&mut self, stream: &Stream) -> Option<&mut TouchedStream> {
        self.touched.get_mut(&stream.id.0)
    }
}

impl Operation {
    /// Whether its answer promises that it is on disk.
    fn needs_sync(&self) -> bool {
        match self {
            Self::Create(_)
            | Self::Configure(_)
            | Self::Write(_)
            | Self::Delete(_)
            | Self::Purge(_)
            | Self::InterestLost(_)
            | Self::Drop => true,
            // Done again after a crash, when it is due again.
            Self::Expire | Self::Processed(_) | Self::Limits | Self::Sweep(_) => false,
        }
    }
}
