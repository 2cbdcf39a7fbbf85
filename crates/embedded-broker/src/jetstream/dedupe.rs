//! Message ids seen within the duplicate window.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::store::Seq;

/// Most ids that are remembered, whatever the window: the oldest give way. It bounds memory where a client makes up
/// ids faster than anybody needs.
const MAX_IDS: usize = 1 << 20;

/// The message ids of a stream, by age.
#[derive(Default)]
pub(crate) struct Dedupe {
    seqs: HashMap<Box<str>, Seq, RandomState>,
    /// Time (nanoseconds since 1970), sequence and id of each use, oldest first.
    order: VecDeque<(i64, Seq, Box<str>)>,
}

impl Dedupe {
    /// The sequence under which this id was stored within `window` nanoseconds before `now`.
    pub(crate) fn find(&mut self, id: &str, now: i64, window: i64) -> Option<Seq> {
        self.forget_old(now, window);
        self.seqs.get(id).copied()
    }

    pub(crate) fn add(&mut self, id: &str, seq: Seq, time: i64) {
        self.seqs.insert(id.into(), seq);
        self.order.push_back((time, seq, id.into()));
        while self.order.len() > MAX_IDS {
            self.forget_oldest();
        }
    }

    /// Adds ids with their sequences and times, oldest first.
    pub(crate) fn add_all(&mut self, ids: impl IntoIterator<Item = (Box<str>, Seq, i64)>) {
        for (id, seq, time) in ids {
            self.add(&id, seq, time);
        }
    }

    /// Forgets the ids of messages behind this one, which are void.
    pub(crate) fn forget_after(&mut self, last: Seq) {
        while let Some((_, seq, id)) = self.order.pop_back_if(|(_, seq, _)| *seq > last) {
            if self.seqs.get(&id) == Some(&seq) {
                self.seqs.remove(&id);
            }
        }
    }

    fn forget_old(&mut self, now: i64, window: i64) {
        while self.order.front().is_some_and(|(time, ..)| now.saturating_sub(*time) > window) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, seq, id)) = self.order.pop_front()
            && self.seqs.get(&id) == Some(&seq)
        {
            self.seqs.remove(&id);
        }
    }
}
