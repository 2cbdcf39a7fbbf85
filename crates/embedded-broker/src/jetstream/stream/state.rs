//! The changing parts of a stream, under its mutex.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use busauth::SubjectFilter;

use foldhash::fast::RandomState;

use super::totals::{SubjectTotals, Totals};
use crate::jetstream::{
    dedupe::Dedupe,
    store::{MAX_SEQ, Record, Seq},
};

/// The changing parts of a stream.
pub(crate) struct StreamState {
    pub(crate) committed: Committed,
    pub(crate) assigned: Assigned,
    pub(crate) dedupe: Dedupe,
    /// The totals that readers see: those of the last group that was durable.
    pub(crate) shown: Totals,
    /// Subjects that readers see.
    pub(crate) shown_subjects: usize,
    /// It was purged, so that its first sequence is known also when it never had a message.
    pub(crate) was_purged: bool,
    /// Where purges end that are queued and go beyond the end: what is given away meanwhile is behind them, also when what
    /// was taken before them is void.
    pub(crate) promised: Vec<Seq>,
    /// A group could not be written, and what is stored is being read: nothing is taken meanwhile.
    pub(crate) is_reloading: bool,
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
    /// Last sequence and number of messages, by subject.
    pub(crate) subjects: HashMap<Arc<str>, (Seq, u64), RandomState>,
}

impl StreamState {
    /// A stream without messages that begins at this sequence.
    pub(crate) fn empty(first: Seq) -> Self {
        let totals = Totals { messages: 0, bytes: 0, first_seq: first, last_seq: first - 1, last_time: 0 };
        Self::new(Committed { totals, subjects: BTreeMap::new() }, Dedupe::default())
    }

    pub(crate) fn new(committed: Committed, dedupe: Dedupe) -> Self {
        let (shown, shown_subjects) = (committed.totals, committed.subjects.len());
        let assigned = Assigned::behind(&shown);
        Self {
            committed,
            assigned,
            dedupe,
            shown,
            shown_subjects,
            was_purged: false,
            promised: Vec::new(),
            is_reloading: false,
        }
    }

    /// Goes back to what is committed: what was assigned is void. `last_msg_id` is that of the last committed message.
    pub(crate) fn void_assigned(&mut self, last_msg_id: Option<Box<str>>) {
        self.dedupe.forget_after(self.committed.totals.last_seq);
        self.assigned = Assigned { last_msg_id, ..Assigned::behind(&self.committed.totals) };
        self.keep_promises();
    }

    /// The sequence that is given away next; none when all are used.
    pub(crate) fn next_seq(&self) -> Option<Seq> {
        self.assigned.last_seq.checked_add(1).filter(|seq| *seq <= MAX_SEQ)
    }

    /// What is given away from now on is behind this sequence, which a purge is going to move the end to.
    pub(crate) fn promise(&mut self, end: Seq) {
        self.promised.push(end);
        self.keep_promises();
    }

    /// A purge that was to move the end is done, or void.
    pub(crate) fn redeem(&mut self, end: Seq) {
        if let Some(at) = self.promised.iter().position(|promised| *promised == end) {
            self.promised.swap_remove(at);
        }
    }

    /// Goes on behind everything that was promised.
    pub(crate) fn keep_promises(&mut self) {
        let end = self.promised.iter().max().copied().unwrap_or(0);
        self.assigned.last_seq = self.assigned.last_seq.max(end);
    }

    /// The last sequence of a subject, assigned ones included; 0 when it has no message.
    pub(crate) fn last_of(&self, subject: &str) -> Seq {
        match self.assigned.subjects.get(subject) {
            Some((last, _)) => *last,
            None => self.committed.subjects.get(subject).map_or(0, |totals| totals.last),
        }
    }

    /// Notes that everything was purged.
    pub(crate) fn purged(&mut self) {
        self.was_purged = true;
    }

    /// What is committed is what readers see.
    pub(crate) fn show(&mut self) {
        self.shown = self.committed.totals;
        self.shown_subjects = self.committed.subjects.len();
    }

    /// Bytes that count for the limits of all streams together.
    pub(crate) fn bytes(&self) -> u64 {
        self.committed.totals.bytes + self.assigned.bytes
    }

    /// The number of messages of a subject, assigned ones included.
    pub(crate) fn count_of(&self, subject: &str) -> u64 {
        let assigned = self.assigned.subjects.get(subject).map_or(0, |(_, count)| *count);
        assigned + self.committed.subjects.get(subject).map_or(0, |totals| totals.count)
    }
}

impl Assigned {
    /// Nothing, behind what is committed.
    fn behind(committed: &Totals) -> Self {
        Self {
            last_seq: committed.last_seq,
            last_time: committed.last_time,
            last_msg_id: None,
            messages: 0,
            bytes: 0,
            subjects: HashMap::default(),
        }
    }

    /// Notes a message that was given the next sequence.
    pub(crate) fn add(&mut self, seq: Seq, record: &Record, bytes: u64) {
        self.last_seq = seq;
        self.last_time = record.time;
        self.messages += 1;
        self.bytes += bytes;
        let entry = self.subjects.entry(Arc::clone(&record.subject)).or_default();
        entry.0 = seq;
        entry.1 += 1;
    }

    /// Notes that the message was written.
    pub(crate) fn written(&mut self, subject: &str, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(entry) = self.subjects.get_mut(subject) {
            entry.1 = entry.1.saturating_sub(1);
            if entry.1 == 0 {
                self.subjects.remove(subject);
            }
        }
    }
}

impl Committed {
    /// Counts a message that was written.
    pub(crate) fn add(&mut self, seq: Seq, subject: &Arc<str>, time: i64, bytes: u64) {
        let totals = &mut self.totals;
        if totals.messages == 0 {
            totals.first_seq = seq;
        }
        totals.messages += 1;
        totals.bytes += bytes;
        totals.last_seq = seq;
        totals.last_time = time;
        if let Some(totals) = self.subjects.get_mut(subject) {
            totals.last = seq;
            totals.count += 1;
        } else {
            self.subjects.insert(Arc::clone(subject), SubjectTotals::of_one(seq));
        }
    }

    /// Counts a sequence without a message.
    pub(crate) fn skip(&mut self, seq: Seq, time: i64) {
        self.totals.last_time = time;
        self.jump(seq + 1);
    }

    /// Goes on with this sequence; what is before it and not used is left out.
    pub(crate) fn jump(&mut self, next: Seq) {
        let totals = &mut self.totals;
        totals.last_seq = totals.last_seq.max(next - 1);
        if totals.messages == 0 {
            totals.first_seq = totals.last_seq + 1;
        }
    }

    /// Counts a message that is removed. Answers whether it is listed in the store's index of subjects.
    pub(crate) fn remove(&mut self, seq: Seq, subject: &str, bytes: u64) -> bool {
        self.totals.messages = self.totals.messages.saturating_sub(1);
        self.totals.bytes = self.totals.bytes.saturating_sub(bytes);
        let Some(totals) = self.subjects.get_mut(subject) else { return true };
        let is_listed = totals.unlisted.is_none_or(|unlisted| unlisted.get() != seq);
        totals.count = totals.count.saturating_sub(1);
        if totals.count == 0 {
            self.subjects.remove(subject);
        } else if totals.first == seq {
            // The only one that is left is the last, unless that is the one that is removed.
            totals.first = if totals.count == 1 && totals.last != seq { totals.last } else { seq + 1 };
        }
        is_listed
    }

    /// Notes the last message of a subject that is left.
    pub(crate) fn set_last(&mut self, subject: &str, last: Seq) {
        if let Some(totals) = self.subjects.get_mut(subject) {
            totals.last = last;
        }
    }

    /// Subjects that a filter matches, with their totals: those that begin as the filter does are looked at.
    pub(crate) fn matching<'a>(
        &'a self,
        filter: &'a SubjectFilter,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a SubjectTotals)> {
        // The table is in the order of bytes: what a filter matches begins with its text before the wildcard.
        let wild =
            filter.has_wildcard().then(|| filter.as_str().split(['*', '>']).next().unwrap_or_default());
        let below = wild.into_iter().flat_map(move |prefix| {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let begin_so = self.subjects.range::<str, _>(from);
            begin_so.take_while(move |(subject, _)| subject.starts_with(prefix))
        });
        let exactly =
            (!filter.has_wildcard()).then(|| self.subjects.get_key_value(filter.as_str())).flatten();
        below.filter(|(subject, _)| filter.matches_str(subject)).chain(exactly)
    }
}
