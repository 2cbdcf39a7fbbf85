//! What a group did to one stream.

use std::{collections::HashSet, sync::Arc};

use foldhash::fast::RandomState;

use super::{Publish, Rollup};
use crate::jetstream::{
    follower::Purged,
    store::{Change, Seq, only},
    stream::{Changing, Listing, Stream, SubjectTotals, message_bytes},
};

/// What a group did to one stream.
#[expect(clippy::struct_excessive_bools, reason = "what is still to be done, each for itself")]
pub(super) struct TouchedStream {
    pub(super) stream: Arc<Stream>,
    /// Messages that were added.
    pub(super) added: Vec<(Seq, Arc<str>)>,
    /// Messages of before the group that were removed.
    pub(super) removed: Vec<(Seq, Arc<str>)>,
    /// Messages that came and went within the group.
    pub(super) short_lived: HashSet<Seq>,
    /// What was purged.
    pub(super) purged: Vec<Purged>,
    /// What is in the changes of the group and not counted yet.
    pub(super) waiting: Vec<Waiting>,
    /// The first of the messages that are counted and not applied yet.
    pub(super) unapplied: Option<Seq>,
    /// Subjects whose totals have changed since they were last written.
    pub(super) subjects: Vec<Arc<str>>,
    /// Subjects whose messages among the changes are to be listed in the store's index.
    pub(super) listed: HashSet<Arc<str>, RandomState>,
    /// Subjects of which that holds for the first time: readers go by it when it is applied.
    newly_listed: Vec<Arc<str>>,
    /// Totals have changed since they were last written.
    pub(super) dirty: bool,
    /// Messages to remove because a later one replaces them.
    pub(super) rollups: Vec<Replacing>,
    /// Messages that a consumer is done with.
    pub(super) processed: Vec<Seq>,
    /// How many of `added` the limit of each subject was applied to.
    pub(super) limited: usize,
    /// Something was added since the limits were applied.
    pub(super) unlimited: bool,
    /// The limits have changed since they were applied.
    pub(super) limits_changed: bool,
    /// What expires next has to be found anew.
    pub(super) look_for_expiry: bool,
    /// The first of the deadlines that were added.
    pub(super) deadline: Option<i64>,
    /// Until what was done shows, or is taken back.
    changing: Changing,
}

/// A message that replaces those before it.
pub(super) struct Replacing {
    pub(super) rollup: Rollup,
    pub(super) subject: Arc<str>,
    pub(super) seq: Seq,
    /// It is in the stream; one that nobody wants is not.
    pub(super) is_stored: bool,
}

/// What is in the changes of a group and not counted yet.
pub(super) enum Waiting {
    Message {
        seq: Seq,
        subject: Arc<str>,
        time: i64,
        bytes: u64,
    },
    /// A sequence without a message.
    Skip {
        seq: Seq,
        time: i64,
    },
}

impl TouchedStream {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            changing: Changing::begin(&stream),
            stream,
            added: Vec::new(),
            removed: Vec::new(),
            short_lived: HashSet::new(),
            purged: Vec::new(),
            waiting: Vec::new(),
            unapplied: None,
            subjects: Vec::new(),
            listed: HashSet::default(),
            newly_listed: Vec::new(),
            dirty: false,
            rollups: Vec::new(),
            processed: Vec::new(),
            limited: 0,
            unlimited: false,
            limits_changed: false,
            look_for_expiry: false,
            deadline: None,
        }
    }

    /// Notes a message that is in the changes of the group.
    pub(super) fn put(&mut self, publish: &Publish) {
        self.unlimited = true;
        if let Some(rollup) = publish.rollup {
            let (subject, seq) = (Arc::clone(&publish.record.subject), publish.seq);
            self.rollups.push(Replacing { rollup, subject, seq, is_stored: true });
        }
        if let Some(expires) = publish.expires {
            self.deadline = Some(self.deadline.map_or(expires, |deadline| deadline.min(expires)));
        }
        let Publish { seq, record, .. } = publish;
        let bytes = message_bytes(self.stream.storage, record);
        let (subject, time) = (Arc::clone(&record.subject), record.time);
        self.waiting.push(Waiting::Message { seq: *seq, subject, time, bytes });
    }

    /// Notes that messages were removed.
    pub(super) fn remove(&mut self, messages: impl Iterator<Item = (Seq, Arc<str>)>) {
        self.dirty = true;
        let first_new = self.added.first().map_or(Seq::MAX, |(seq, _)| *seq);
        for (seq, subject) in messages {
            self.subjects.push(Arc::clone(&subject));
            if seq >= first_new {
                self.short_lived.insert(seq);
            } else {
                self.removed.push((seq, subject));
            }
        }
    }

    /// Whether something follows from what was added.
    pub(super) fn has_consequences(&self) -> bool {
        self.unlimited || self.limits_changed || !self.rollups.is_empty() || !self.processed.is_empty()
    }

    /// Counts what waits.
    pub(super) fn count(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.dirty = true;
        let mut state = self.stream.state.lock();
        let mut before: Option<Arc<str>> = None;
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Message { seq, subject, time, bytes } => {
                    state.assigned.written(&subject, bytes);
                    state.committed.add(seq, &subject, time, bytes);
                    self.unapplied.get_or_insert(seq);
                    self.added.push((seq, Arc::clone(&subject)));
                    // Neighbours often have the same one.
                    if before.as_ref() != Some(&subject) {
                        self.subjects.push(Arc::clone(&subject));
                        before = Some(subject);
                    }
                }
                Waiting::Skip { seq, time } => state.committed.skip(seq, time),
            }
        }
    }

    /// Counts what waits, and appends the totals that have changed: all of it is applied next.
    pub(super) fn settle(&mut self, changes: &mut Vec<Change>) {
        self.count();
        let first_new = self.unapplied.take().unwrap_or(Seq::MAX);
        if !self.dirty {
            return;
        }
        let id = self.stream.id;
        let mut state = self.stream.state.lock();
        self.subjects.sort_unstable();
        self.subjects.dedup();
        for subject in self.subjects.drain(..) {
            let key = only::key(&subject);
            let Some(totals) = state.committed.subjects.get_mut(&subject) else {
                changes.push(Change::ClearState { stream: id, key });
                continue;
            };
            let value = match totals.listing(first_new) {
                Listing::Nothing => {
                    *totals = SubjectTotals::of_one(totals.last);
                    totals.encode()
                }
                Listing::All { late } => {
                    if let Some(seq) = late {
                        changes.push(Change::List { stream: id, seq, subject: Arc::clone(&subject) });
                    }
                    if totals.unlisted.is_some() {
                        self.newly_listed.push(Arc::clone(&subject));
                    }
                    self.listed.insert(subject);
                    SubjectTotals { unlisted: None, ..*totals }.encode()
                }
            };
            changes.push(Change::SetState { stream: id, key, value });
        }
        self.dirty = false;
        changes.push(state.committed.totals.change(id));
    }

    /// Notes that what was settled is applied.
    pub(super) fn applied(&mut self) {
        self.listed.clear();
        if self.newly_listed.is_empty() {
            return;
        }
        let mut state = self.stream.state.lock();
        for subject in self.newly_listed.drain(..) {
            if let Some(totals) = state.committed.subjects.get_mut(&subject) {
                totals.unlisted = None;
            }
        }
    }

    /// The stream, and that it is being changed: what was done is taken back.
    pub(super) fn into_parts(self) -> (Arc<Stream>, Changing) {
        (self.stream, self.changing)
    }

    /// Lets everybody see what was done.
    pub(super) fn show(mut self) {
        if !self.short_lived.is_empty() {
            self.added.retain(|(seq, _)| !self.short_lived.contains(seq));
        }
        self.stream.show(&self.added, &self.removed, &self.purged);
        self.stream.arm_expiry(self.look_for_expiry, self.deadline);
    }
}
