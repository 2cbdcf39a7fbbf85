//! The newest messages of a stream, in memory: so that consumers which keep up do not read the store.
//!
//! A tail is a run of sequences without a gap, up to the last that is applied; of each it has the message, or knows
//! that there is none. It is filled while somebody follows the stream, or new messages replace old ones. It is bounded,
//! and so are all tails together: those that were filled least recently give way.

use std::{
    borrow::Cow,
    collections::VecDeque,
    mem::size_of,
    ops::{ControlFlow, RangeInclusive},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};

use super::Stream;
use crate::jetstream::store::{Record, Seq, StoreError};

/// Bytes of one tail.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of all tails.
const MAX_TOTAL: usize = 64 * 1024 * 1024;

/// Sequences without a message that a tail runs over; after more of them in a row it begins anew.
const MAX_LEAP: u64 = 1024;

/// All tails of an engine.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    bytes: Arc<AtomicUsize>,
    /// Counts how often a tail was filled.
    clock: AtomicU64,
    holders: Mutex<Vec<Weak<Stream>>>,
}

/// Looks at a message, or at why it cannot be read.
type Visit<'a> = &'a mut dyn FnMut(Seq, Result<Cow<'_, Record>, StoreError>) -> ControlFlow<()>;

/// The tail of one stream.
#[derive(Debug)]
pub(super) struct Tail {
    kept: RwLock<Kept>,
    /// When it was filled last, by the clock of [`Tails`].
    filled: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    /// Sequence of the first entry.
    first: Seq,
    entries: VecDeque<Option<Record>>,
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Tails {
    /// A tail of a new stream.
    pub(super) fn tail(&self) -> Tail {
        let kept = Kept { first: 1, entries: VecDeque::new(), bytes: 0, total: Arc::clone(&self.bytes) };
        Tail { kept: RwLock::new(kept), filled: AtomicU64::new(0) }
    }

    /// Keeps the bound of all tails.
    fn limit(&self) {
        if self.bytes.load(Relaxed) <= MAX_TOTAL {
            return;
        }
        let mut holders = self.holders.lock();
        let mut streams: Vec<Arc<Stream>> = holders.iter().filter_map(Weak::upgrade).collect();
        streams.sort_unstable_by_key(|stream| stream.tail.filled.load(Relaxed));
        // More than is needed, so that this is not done again at once.
        let (mut left, mut emptied) = (self.bytes.load(Relaxed), 0);
        for stream in &streams {
            if left <= MAX_TOTAL / 4 * 3 {
                break;
            }
            left -= stream.tail.clear().min(left);
            emptied += 1;
        }
        *holders = streams[emptied..].iter().map(Arc::downgrade).collect();
    }
}

impl Stream {
    /// Keeps messages that were applied, ascending. For the committer.
    pub(in crate::jetstream) fn keep(self: &Arc<Self>, messages: impl Iterator<Item = (Seq, Record)>) {
        let tails = &self.commit.tails;
        // A limit of each subject reads what the next message replaces.
        if self.followers.read().is_empty() && self.config.load().max_msgs_per_subject().is_none() {
            self.tail.clear();
            messages.for_each(drop);
            return;
        }
        self.tail.filled.store(tails.clock.fetch_add(1, Relaxed), Relaxed);
        if self.tail.push(messages) {
            tails.holders.lock().push(Arc::downgrade(self));
        }
        tails.limit();
    }

    /// The message at a sequence, if it is in memory.
    pub(in crate::jetstream) fn kept(&self, seq: Seq) -> Option<Record> {
        self.tail.get(seq).flatten()
    }

    /// Forgets messages that were removed. For the committer.
    pub(in crate::jetstream) fn forget_kept(&self, seqs: impl Iterator<Item = Seq>) {
        self.tail.remove(seqs);
    }
}

impl Tail {
    /// Adds messages. Answers whether there were none before.
    fn push(&self, messages: impl Iterator<Item = (Seq, Record)>) -> bool {
        let mut kept = self.kept.write();
        let was_empty = kept.entries.is_empty();
        for (seq, record) in messages {
            kept.push(seq, record);
        }
        was_empty && !kept.entries.is_empty()
    }

    fn remove(&self, seqs: impl Iterator<Item = Seq>) {
        let mut kept = self.kept.write();
        if kept.entries.is_empty() {
            return;
        }
        for seq in seqs {
            kept.remove(seq);
        }
    }

    /// Forgets everything. Answers how many bytes that were.
    pub(super) fn clear(&self) -> usize {
        let mut kept = self.kept.write();
        let bytes = kept.bytes;
        kept.clear();
        bytes
    }

    /// The message at a sequence, or that there is none; `None` when that is not known here.
    #[expect(clippy::option_option, reason = "that there is none, and that it is not known, are two things")]
    pub(super) fn get(&self, seq: Seq) -> Option<Option<Record>> {
        let kept = self.kept.read();
        let at = usize::try_from(seq.checked_sub(kept.first)?).ok()?;
        kept.entries.get(at).cloned()
    }

    /// Hands the messages of a range to `visit`, ascending, until it breaks. Answers whether all of the range is known
    /// here; nothing is handed over otherwise. `visit` must not need this stream.
    pub(super) fn scan(&self, range: &RangeInclusive<Seq>, visit: Visit<'_>) -> bool {
        let kept = self.kept.read();
        let end = kept.first + kept.entries.len() as u64;
        if *range.start() < kept.first || *range.end() >= end {
            return false;
        }
        let at = |seq: Seq| usize::try_from(seq - kept.first).unwrap_or(usize::MAX);
        let entries = kept.entries.range(at(*range.start())..=at(*range.end()));
        for (seq, entry) in range.clone().zip(entries) {
            if let Some(record) = entry
                && visit(seq, Ok(Cow::Borrowed(record))).is_break()
            {
                break;
            }
        }
        true
    }
}

impl Kept {
    fn push(&mut self, seq: Seq, record: Record) {
        let next = self.first + self.entries.len() as u64;
        let leap = seq.checked_sub(next).filter(|leap| *leap <= MAX_LEAP && !self.entries.is_empty());
        if let Some(leap) = leap {
            (0..leap).for_each(|_| self.append(None));
        } else {
            self.clear();
            self.first = seq;
        }
        self.append(Some(record));
        while self.bytes > MAX_BYTES {
            let Some(entry) = self.entries.pop_front() else { return };
            self.first += 1;
            self.release(weight(entry.as_ref()));
        }
    }

    fn append(&mut self, entry: Option<Record>) {
        let weight = weight(entry.as_ref());
        self.bytes += weight;
        self.total.fetch_add(weight, Relaxed);
        self.entries.push_back(entry);
    }

    fn remove(&mut self, seq: Seq) {
        let at = seq.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at))
            && let Some(record) = entry.take()
        {
            let weight = weight(Some(&record)) - weight(None);
            self.release(weight);
        }
    }

    fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.release(self.bytes);
    }

    fn release(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.total.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What an entry takes, about.
fn weight(entry: Option<&Record>) -> usize {
    let record = entry.map_or(0, |record| record.data.len() + record.subject.len());
    record + size_of::<Option<Record>>() + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size: usize) -> Record {
        Record { subject: "a".into(), time: 1, header_len: 0, data: vec![0; size].into() }
    }

    fn known(tail: &Tail, range: RangeInclusive<Seq>) -> Option<Vec<Seq>> {
        let mut seqs = Vec::new();
        let is_known = tail.scan(&range, &mut |seq, _| {
            seqs.push(seq);
            ControlFlow::Continue(())
        });
        is_known.then_some(seqs)
    }

    #[test]
    fn knows_what_it_was_given_and_what_is_missing_in_between() {
        let tail = Tails::default().tail();
        assert_eq!(known(&tail, 1..=1), None);
        assert!(tail.push([5, 6, 9].map(|seq| (seq, record(1))).into_iter()));
        assert_eq!(known(&tail, 5..=9), Some(vec![5, 6, 9]));
        assert_eq!(known(&tail, 6..=8), Some(vec![6]));
        assert_eq!(known(&tail, 4..=9), None, "before it may be something");
        assert_eq!(known(&tail, 5..=10), None, "after it may be something");
        assert_eq!(tail.get(4), None);
        assert_eq!(tail.get(7), Some(None));
        assert_eq!(tail.get(9), Some(Some(record(1))));
        tail.remove([6, 100].into_iter());
        assert_eq!(known(&tail, 5..=9), Some(vec![5, 9]));
    }

    #[test]
    fn begins_anew_after_a_long_leap_and_after_a_step_back() {
        let tail = Tails::default().tail();
        tail.push([(1, record(1)), (2 + MAX_LEAP + 1, record(1))].into_iter());
        assert_eq!(tail.get(1), None);
        assert_eq!(tail.get(2 + MAX_LEAP + 1), Some(Some(record(1))));
        tail.push([(7, record(1))].into_iter());
        assert_eq!(known(&tail, 7..=7), Some(vec![7]));
        assert_eq!(tail.get(2 + MAX_LEAP + 1), None);
    }

    #[test]
    fn is_bounded_and_counts_what_it_holds() {
        let tails = Tails::default();
        let tail = tails.tail();
        tail.push((1..=100).map(|seq| (seq, record(100_000))));
        let held = tails.bytes.load(Relaxed);
        assert!(held <= MAX_BYTES && held > MAX_BYTES / 2, "{held}");
        assert_eq!(tail.get(1), None);
        assert_eq!(tail.get(100), Some(Some(record(100_000))));
        tail.remove(1..=100);
        assert!(tails.bytes.load(Relaxed) < 10_000);
        drop(tail);
        assert_eq!(tails.bytes.load(Relaxed), 0);
    }
}
