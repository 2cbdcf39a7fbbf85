//! Which messages are damaged or gone, as far as it is known: for whoever asks how the store is.

use super::marks::Damage;
use crate::jetstream::store::{Lost, Seq, StreamId};
use parking_lot::Mutex;

/// Streams of which single messages are named.
const MAX_STREAMS: usize = 64;
/// Ranges of one stream. Beyond, the last of them grows: whatever is missing is within.
const MAX_RANGES: usize = 16;

/// What was found when the store was opened, and what was met by readers since.
#[derive(Debug, Default)]
pub(super) struct Damaged(Mutex<Lost>);

impl Damaged {
    pub(super) fn new(found: Option<&Damage>) -> Self {
        let damaged = Self::default();
        damaged.found(found);
        damaged
    }

    /// Notes what was found when the store was opened.
    pub(super) fn found(&self, damage: Option<&Damage>) {
        for (stream, (first, last)) in damage.iter().flat_map(|damage| &damage.lost) {
            self.add(*stream, *first, *last);
        }
    }

    /// Notes a message that cannot be read.
    pub(super) fn met(&self, stream: StreamId, seq: Seq) {
        self.add(stream, seq, seq);
    }

    fn add(&self, stream: StreamId, first: Seq, last: Seq) {
        let mut lost = self.0.lock();
        if first > last || (lost.len() >= MAX_STREAMS && !lost.contains_key(&stream)) {
            return;
        }
        let ranges = lost.entry(stream).or_default();
        let is_known =
            |known: &std::ops::RangeInclusive<Seq>| known.contains(&first) && known.contains(&last);
        if ranges.iter().any(is_known) {
            return;
        }
        ranges.push(first..=last);
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut merged: Vec<std::ops::RangeInclusive<Seq>> = Vec::with_capacity(ranges.len());
        for range in ranges.drain(..) {
            let is_full = merged.len() == MAX_RANGES;
            match merged.last_mut() {
                Some(before) if is_full || *range.start() <= before.end().saturating_add(1) => {
                    *before = *before.start()..=*before.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        *ranges = merged;
    }

    pub(super) fn all(&self) -> Lost {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StreamId = StreamId(1);

    #[test]
    fn what_is_next_to_each_other_is_one_range_and_nothing_grows_without_bound() {
        let damaged = Damaged::default();
        for seq in [5, 3, 4, 9, 4] {
            damaged.met(ONE, seq);
        }
        assert_eq!(damaged.all()[&ONE], [3..=5, 9..=9]);
        for seq in (100..10_000).step_by(2) {
            damaged.met(ONE, seq);
        }
        let ranges = damaged.all().remove(&ONE).unwrap();
        assert_eq!((ranges.len(), ranges.last().unwrap().end()), (MAX_RANGES, &9_998));
        for stream in 2..1_000 {
            damaged.met(StreamId(stream), 1);
        }
        assert_eq!(damaged.all().len(), MAX_STREAMS);
    }
}
