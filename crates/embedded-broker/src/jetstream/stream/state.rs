//! The changing parts of a stream, under its mutex.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::totals::{SubjectTotals, Totals};
use crate::jetstream::{
    dedupe::Dedupe,
    store::{Record, Seq},
};

/// The changing parts of a stream.
pub(crate) struct StreamState {
    pub(crate) committed: Committed,
    pub(crate) assigned: Assigned,
    pub(crate) dedupe: Dedupe,
    /// Raised when a group of the stream could not be written: whatever was assigned before is void.
    pub(crate) epoch: u64,
}

/// What is written.
pub(crate) struct Committed {
    pub(crate) totals: Totals,
    pub(crate) subjects: BTreeMap<Arc<str>, SubjectTotals>,
}

/// What has a sequence and is not written yet.
pub(crate) struct Assigned {
    /// The last sequence that was given away.
    pub(crate) last_seq: Seq,
    pub(crate) last_time: i64,
    /// Message id of the last message, if it had one.
    pub(crate) last_msg_id: Option<Box<str>>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Subjects of the messages, ascending.
    pub(crate) waiting: VecDeque<(Seq, Arc<str>)>,
    /// Last sequence and number of messages, by subject.
    pub(crate) subjects: HashMap<Arc<str>, (Seq, u64), RandomState>,
}

impl StreamState {
    /// A stream without messages that begins at this sequence.
    pub(crate) fn empty(first: Seq) -> Self {
        let totals = Totals { messages: 0, bytes: 0, first_seq: first, last_seq: first - 1, last_time: 0 };
        Self::new(Committed { totals, subjects: BTreeMap::new() }, Dedupe::default(), 0)
    }

    pub(crate) fn new(committed: Committed, dedupe: Dedupe, epoch: u64) -> Self {
        let Totals { last_seq, last_time, .. } = committed.totals;
        let assigned = Assigned {
            last_seq,
            last_time,
            last_msg_id: None,
            messages: 0,
            bytes: 0,
            waiting: VecDeque::new(),
            subjects: HashMap::default(),
        };
        Self { committed, assigned, dedupe, epoch }
    }

    /// The last sequence of a subject, assigned ones included; 0 when it has no message.
    pub(crate) fn last_of(&self, subject: &str) -> Seq {
        match self.assigned.subjects.get(subject) {
            Some((last, _)) => *last,
            None => self.committed.subjects.get(subject).map_or(0, |totals| totals.last),
        }
    }

    /// Goes on with this sequence; what was before it is gone.
    pub(crate) fn jump(&mut self, next: Seq) {
        let totals = &mut self.committed.totals;
        totals.last_seq = totals.last_seq.max(next - 1);
        self.assigned.last_seq = self.assigned.last_seq.max(next - 1);
        if totals.messages == 0 {
            totals.first_seq = totals.last_seq + 1;
        }
    }

    /// The number of messages of a subject, assigned ones included.
    pub(crate) fn count_of(&self, subject: &str) -> u64 {
        let assigned = self.assigned.subjects.get(subject).map_or(0, |(_, count)| *count);
        assigned + self.committed.subjects.get(subject).map_or(0, |totals| totals.count)
    }
}

impl Assigned {
    /// Notes a message that was given the next sequence.
    pub(crate) fn add(&mut self, seq: Seq, record: &Record, bytes: u64) {
        self.last_seq = seq;
        self.last_time = record.time;
        self.messages += 1;
        self.bytes += bytes;
        self.waiting.push_back((seq, Arc::clone(&record.subject)));
        let entry = self.subjects.entry(Arc::clone(&record.subject)).or_default();
        entry.0 = seq;
        entry.1 += 1;
    }

    /// Notes that the message was written.
    pub(crate) fn written(&mut self, seq: Seq, record: &Record, bytes: u64) {
        self.messages -= 1;
        self.bytes -= bytes;
        if self.waiting.front().is_some_and(|(first, _)| *first == seq) {
            self.waiting.pop_front();
        }
        if let Some(entry) = self.subjects.get_mut(&record.subject) {
            entry.1 -= 1;
            if entry.1 == 0 {
                self.subjects.remove(&record.subject);
            }
        }
    }
}

impl Committed {
    /// Counts a message that was written.
    pub(crate) fn add(&mut self, seq: Seq, record: &Record, bytes: u64) {
        let totals = &mut self.totals;
        if totals.messages == 0 {
            totals.first_seq = seq;
        }
        totals.messages += 1;
        totals.bytes += bytes;
        totals.last_seq = seq;
        totals.last_time = record.time;
        if let Some(subject) = self.subjects.get_mut(&record.subject) {
            subject.last = seq;
            subject.count += 1;
        } else {
            let subject = SubjectTotals { first: seq, last: seq, count: 1 };
            self.subjects.insert(Arc::clone(&record.subject), subject);
        }
    }

    /// Counts a message that is removed. `previous` answers the last sequence of the subject before the one removed,
    /// asked only when it was the subject's last and others are left.
    pub(crate) fn remove(
        &mut self,
        seq: Seq,
        subject: &str,
        bytes: u64,
        previous: impl FnOnce() -> Option<Seq>,
    ) {
        self.totals.messages = self.totals.messages.saturating_sub(1);
        self.totals.bytes = self.totals.bytes.saturating_sub(bytes);
        let Some(totals) = self.subjects.get_mut(subject) else { return };
        totals.count = totals.count.saturating_sub(1);
        if totals.count == 0 {
            self.subjects.remove(subject);
            return;
        }
        if totals.first == seq {
            totals.first = seq + 1;
        }
        if totals.last == seq {
            totals.last = previous().unwrap_or(seq);
        }
    }
}
