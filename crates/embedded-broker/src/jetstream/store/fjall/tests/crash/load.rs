//! What the child does: numbered batches, each of which both sides can compute.

use super::super::*;
use crate::jetstream::store::conformance::{put, set};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Streams that messages go to and are deleted from.
const STREAMS: u32 = 3;
/// Sequences of one batch.
const STRIDE: u64 = 64;
/// Batches after which half of a batch's messages are deleted.
const DELETE_AFTER: u64 = 5;
/// The stream whose state says which batch was the last.
pub(super) const COUNTER: StreamId = StreamId(10);
pub(super) const BATCH: &[u8] = b"batch";

/// How large messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    /// Journals and memtables fill in a few batches.
    Large,
}

/// Something of a number that is the same each time, and looks like nothing.
fn scramble(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

fn stream(batch: u64) -> StreamId {
    StreamId(1 + u32::try_from(batch % u64::from(STREAMS)).unwrap())
}

fn messages(batch: u64) -> impl Iterator<Item = Seq> {
    (0..=scramble(batch) % 40).map(move |index| batch * STRIDE + index)
}

fn subject(seq: Seq) -> String {
    format!("s.{}", scramble(seq) % 5)
}

fn payload(seq: Seq, size: Size) -> Vec<u8> {
    let random = scramble(seq.wrapping_mul(3));
    let length = match size {
        Size::Large => 60_000,
        Size::Small if random.is_multiple_of(31) => 4096 + random % 3000,
        Size::Small => random % 200,
    };
    (0..length).map(|at| (random.wrapping_add(at * 13) >> 3) as u8).collect()
}

fn temporary(batch: u64) -> StreamId {
    StreamId(1000 + u32::try_from(batch).unwrap())
}

/// The changes of a batch.
pub(super) fn changes(batch: u64, size: Size) -> Vec<Change> {
    let mut changes: Vec<_> =
        messages(batch).map(|seq| put(stream(batch), seq, &subject(seq), &payload(seq, size))).collect();
    if let Some(old) = batch.checked_sub(DELETE_AFTER).filter(|old| *old > 0) {
        for seq in messages(old).filter(|seq| seq.is_multiple_of(2)) {
            let subject = subject(seq).into();
            changes.push(Change::Remove { stream: stream(old), seq, subject, listed: true });
        }
    }
    // Streams that come and go.
    if batch.is_multiple_of(20) {
        changes.extend((1..30).map(|seq| put(temporary(batch), seq, "t", b"x")));
        changes.push(set(temporary(batch), b"k", b"v"));
    }
    if batch > 20 && batch.is_multiple_of(20) {
        changes.push(Change::DropStream { stream: temporary(batch - 20) });
    }
    let value = Bytes::copy_from_slice(&batch.to_le_bytes());
    changes.push(Change::SetState { stream: COUNTER, key: BATCH.into(), value });
    changes
}

/// The number of the last batch in a store.
pub(super) fn last(store: &FjallStore) -> u64 {
    let last = store.state(COUNTER, BATCH).unwrap();
    last.map_or(0, |last| u64::from_le_bytes(last[..].try_into().unwrap()))
}

/// Asserts that a store has the batches up to a number, and nothing else. `sizes` has the size of each.
pub(super) fn verify(store: &FjallStore, last: u64, sizes: &[Size]) {
    for number in 1..=STREAMS {
        let id = StreamId(number);
        let mut expected = BTreeMap::new();
        for batch in (1..=last).filter(|batch| stream(*batch) == id) {
            let is_halved = batch + DELETE_AFTER <= last;
            for seq in messages(batch).filter(|seq| !is_halved || !seq.is_multiple_of(2)) {
                expected.insert(seq, batch);
            }
        }
        let mut found = Vec::new();
        let mut of_subjects: BTreeMap<String, Vec<Seq>> = BTreeMap::new();
        store
            .scan(id, 1..=Seq::MAX, &mut |seq, record| {
                let batch = expected.get(&seq).unwrap_or_else(|| panic!("message {seq} of {id:?} came back"));
                let payload = payload(seq, sizes[*batch as usize]);
                let expected = crate::jetstream::store::conformance::record(&subject(seq), seq, &payload);
                assert!(record.unwrap() == expected, "message {seq} of {id:?} is wrong");
                of_subjects.entry(subject(seq)).or_default().push(seq);
                found.push(seq);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(found, expected.into_keys().collect::<Vec<_>>(), "{id:?}");
        for (subject, sequences) in of_subjects {
            let found = crate::jetstream::store::conformance::of_subject(store, id, &subject, 0..=Seq::MAX);
            assert_eq!(found, sequences, "{subject} of {id:?}");
        }
    }
    let mut expected = vec![COUNTER];
    if last >= 20 {
        expected.push(temporary(last / 20 * 20));
    }
    let found: Vec<_> = store.streams().unwrap().into_iter().map(|found| found.stream).collect();
    assert_eq!(found, if last == 0 { Vec::new() } else { expected });
}
