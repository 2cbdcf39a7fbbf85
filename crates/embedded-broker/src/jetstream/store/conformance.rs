//! What every store does, asked of each.

use super::{
    Change, FoundStream, Record, Seq, StoreError, StreamId, StreamStore,
    fjall::{FjallStore, SpaceLimits},
    memory::MemoryStore,
};
use bytes::Bytes;
use std::{
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
};
use tempfile::TempDir;

mod model;

/// A store, and how to come back to what is in it.
pub(super) trait Subject {
    fn store(&self) -> &dyn StreamStore;

    /// Closes the store and opens it again. One that keeps nothing stays as it is.
    fn reopen(&mut self);
}

struct InMemory(MemoryStore);

impl Subject for InMemory {
    fn store(&self) -> &dyn StreamStore {
        &self.0
    }

    fn reopen(&mut self) {}
}

pub(super) struct OnDisk {
    store: Option<FjallStore>,
    directory: TempDir,
}

impl OnDisk {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Self { store: None, directory };
        disk.reopen();
        disk
    }
}

/// Tests share a disk with whatever else is on it.
pub(super) fn no_limits() -> SpaceLimits {
    SpaceLimits { min_free: 0, max_used: 100, enough: u64::MAX, gap: 0, reserve: 0 }
}

impl Subject for OnDisk {
    fn store(&self) -> &dyn StreamStore {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(FjallStore::open(self.directory.path(), no_limits()).unwrap());
        assert_eq!(self.store().health().problems, Vec::<String>::new());
    }
}

macro_rules! for_each_store {
    ($($test:ident,)*) => {
        mod in_memory {
            $(#[test]
            fn $test() {
                super::$test(&mut super::InMemory(super::MemoryStore::new()));
            })*
        }

        mod on_disk {
            $(#[test]
            fn $test() {
                super::$test(&mut super::OnDisk::new());
            })*
        }
    };
}

for_each_store! {
    messages_are_read_as_they_were_written,
    scans_keep_to_their_bounds_and_break,
    subjects_are_found_and_not_mixed_up,
    deleted_messages_are_gone,
    state_is_ordered_and_separate,
    a_batch_leaves_what_its_last_change_left,
    dropped_streams_are_gone_and_their_numbers_not_reused,
    a_visitor_may_read,
    readers_see_whole_messages_while_others_are_written,
    large_messages_are_kept,
    what_was_refused_was_not_applied,
    nothing_differs_from_plain_maps,
}

pub(super) const ONE: StreamId = StreamId(1);
pub(super) const TWO: StreamId = StreamId(2);

pub(super) fn record(subject: &str, seq: Seq, payload: &[u8]) -> Record {
    let headers = b"NATS/1.0\r\nA: b\r\n\r\n";
    let with_headers = seq.is_multiple_of(2);
    let mut data = if with_headers { headers.to_vec() } else { Vec::new() };
    let header_len = data.len();
    data.extend_from_slice(payload);
    Record {
        subject: subject.into(),
        time: 1_000_000 + i64::try_from(seq).unwrap(),
        header_len,
        data: Bytes::from(data),
    }
}

pub(super) fn put(stream: StreamId, seq: Seq, subject: &str, payload: &[u8]) -> Change {
    Change::Put { stream, seq, record: record(subject, seq, payload), listed: true }
}

pub(super) fn remove(stream: StreamId, seq: Seq, subject: &str) -> Change {
    Change::Remove { stream, seq, subject: subject.into(), listed: true }
}

pub(super) fn set(stream: StreamId, key: &[u8], value: &'static [u8]) -> Change {
    Change::SetState { stream, key: key.into(), value: Bytes::from_static(value) }
}

pub(super) fn scanned(
    store: &dyn StreamStore,
    stream: StreamId,
    range: RangeInclusive<Seq>,
) -> Vec<(Seq, Record)> {
    let mut found = Vec::new();
    store
        .scan(stream, range, &mut |seq, record| {
            found.push((seq, record.unwrap()));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

pub(super) fn backwards(store: &dyn StreamStore, stream: StreamId, range: RangeInclusive<Seq>) -> Vec<Seq> {
    let mut found = Vec::new();
    let collect = &mut |seq| {
        found.push(seq);
        ControlFlow::Continue(())
    };
    store.scan_back(stream, range, collect).unwrap();
    found
}

pub(super) fn of_subject(
    store: &dyn StreamStore,
    stream: StreamId,
    subject: &str,
    range: RangeInclusive<Seq>,
) -> Vec<Seq> {
    let mut found = Vec::new();
    let collect = &mut |seq| {
        found.push(seq);
        ControlFlow::Continue(())
    };
    store.scan_subject(stream, subject, range, collect).unwrap();
    found
}

pub(super) fn states(store: &dyn StreamStore, stream: StreamId, prefix: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
    let mut found = Vec::new();
    store
        .scan_state(stream, prefix, &mut |key, value| {
            found.push((key.to_vec(), value));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn messages_are_read_as_they_were_written(subject: &mut dyn Subject) {
    let store = subject.store();
    store
        .apply(&[put(ONE, 1, "a.b", b"first"), put(ONE, 2, "a.c", b""), put(TWO, 1, "a.b", b"other")])
        .unwrap();
    store.sync().unwrap();
    // Also what was not synced outlives a proper end.
    store.apply(&[put(ONE, 3, "a.b", b"third")]).unwrap();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.get(ONE, 1).unwrap(), Some(record("a.b", 1, b"first")));
        assert_eq!(store.get(ONE, 2).unwrap(), Some(record("a.c", 2, b"")));
        assert_eq!(store.get(ONE, 3).unwrap(), Some(record("a.b", 3, b"third")));
        assert_eq!(store.get(TWO, 1).unwrap(), Some(record("a.b", 1, b"other")));
        for (stream, seq) in [(ONE, 0), (ONE, 4), (ONE, Seq::MAX), (TWO, 2), (StreamId(3), 1)] {
            assert_eq!(store.get(stream, seq).unwrap(), None);
        }
        subject.reopen();
    }
}

fn scans_keep_to_their_bounds_and_break(subject: &mut dyn Subject) {
    let changes: Vec<_> = (1..=300).filter(|seq| seq % 3 != 0).map(|seq| put(ONE, seq, "s", b"x")).collect();
    subject.store().apply(&changes).unwrap();
    subject.store().apply(&[put(TWO, 100, "s", b"x"), put(StreamId(u32::MAX), 100, "s", b"x")]).unwrap();
    let there =
        |range: RangeInclusive<Seq>| range.filter(|seq| seq % 3 != 0 && *seq <= 300).collect::<Vec<_>>();
    for _ in 0..2 {
        let store = subject.store();
        for range in [0..=Seq::MAX, 1..=300, 3..=3, 4..=4, 65..=131, 299..=1000, 301..=400] {
            let expected = there(*range.start()..=*range.end().min(&400));
            let sequences: Vec<_> = scanned(store, ONE, range.clone()).iter().map(|(seq, _)| *seq).collect();
            assert_eq!(sequences, expected);
            assert_eq!(of_subject(store, ONE, "s", range.clone()), expected);
            assert_eq!(
                store.last_of_subject(ONE, "s", range.clone()).unwrap(),
                expected.last().copied(),
                "{range:?}"
            );
            let mut reversed = expected;
            reversed.reverse();
            assert_eq!(backwards(store, ONE, range), reversed);
        }
        #[expect(clippy::reversed_empty_ranges, reason = "nothing is in it")]
        let nothing = 5..=4;
        assert!(scanned(store, ONE, nothing.clone()).is_empty());
        assert!(backwards(store, ONE, nothing.clone()).is_empty());
        assert!(of_subject(store, ONE, "s", nothing.clone()).is_empty());
        assert_eq!(store.last_of_subject(ONE, "s", nothing).unwrap(), None);

        let mut seen = 0;
        let mut three = || {
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        store.scan(ONE, 1..=300, &mut |_, _| three()).unwrap();
        assert_eq!(seen, 3);
        subject.reopen();
    }
}

fn subjects_are_found_and_not_mixed_up(subject: &mut dyn Subject) {
    let names = ["a", "a.b", "a.b.c", "ab", "b", "a.\u{1}", "ä.ö"];
    let changes: Vec<_> =
        (1..=70).map(|seq: Seq| put(ONE, seq, names[seq as usize % names.len()], b"x")).collect();
    subject.store().apply(&changes).unwrap();
    for _ in 0..2 {
        let store = subject.store();
        for (index, name) in names.iter().enumerate() {
            let expected: Vec<_> =
                (10..=60).filter(|seq: &Seq| *seq as usize % names.len() == index).collect();
            assert_eq!(of_subject(store, ONE, name, 10..=60), expected);
            assert_eq!(store.last_of_subject(ONE, name, 10..=60).unwrap(), expected.last().copied());
            assert!(of_subject(store, TWO, name, 10..=60).is_empty());
        }
        assert_eq!(store.last_of_subject(ONE, "c", 1..=Seq::MAX).unwrap(), None);
        subject.reopen();
    }
}

fn deleted_messages_are_gone(subject: &mut dyn Subject) {
    let changes: Vec<_> = (1..=10).map(|seq| put(ONE, seq, "s", b"x")).collect();
    subject.store().apply(&changes).unwrap();
    subject.store().apply(&[remove(ONE, 1, "s"), remove(ONE, 5, "s"), remove(ONE, 10, "s")]).unwrap();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.get(ONE, 5).unwrap(), None);
        assert_eq!(of_subject(store, ONE, "s", 0..=Seq::MAX), [2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(backwards(store, ONE, 0..=Seq::MAX), [9, 8, 7, 6, 4, 3, 2]);
        assert_eq!(store.last_of_subject(ONE, "s", 0..=Seq::MAX).unwrap(), Some(9));
        subject.reopen();
    }
}

fn state_is_ordered_and_separate(subject: &mut dyn Subject) {
    subject
        .store()
        .apply(&[
            set(ONE, b"b", b"2"),
            set(ONE, b"a", b"1"),
            set(ONE, b"a/\xff", b"4"),
            set(ONE, b"a/", b""),
            set(TWO, b"a", b"two"),
            set(ONE, b"", b"nameless"),
        ])
        .unwrap();
    for _ in 0..2 {
        let store = subject.store();
        let keys =
            |prefix: &[u8]| states(store, ONE, prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(b""), [&b""[..], b"a", b"a/", b"a/\xff", b"b"]);
        assert_eq!(keys(b"a"), [&b"a"[..], b"a/", b"a/\xff"]);
        assert_eq!(keys(b"a/\xff"), [b"a/\xff"]);
        assert_eq!(keys(b"c"), Vec::<Vec<u8>>::new());
        assert_eq!(store.state(ONE, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(store.state(TWO, b"a").unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(store.state(ONE, b"a/").unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(store.state(TWO, b"b").unwrap(), None);
        let mut seen = 0;
        store
            .scan_state(ONE, b"", &mut |_, _| {
                seen += 1;
                ControlFlow::Break(())
            })
            .unwrap();
        assert_eq!(seen, 1);
        assert_eq!(store.streams().unwrap(), [ONE, TWO].map(FoundStream::whole));
        subject.reopen();
    }
    let clear = |stream, key: &[u8]| Change::ClearState { stream, key: key.into() };
    subject.store().apply(&[clear(TWO, b"a"), clear(ONE, b"none"), clear(ONE, b"a")]).unwrap();
    for _ in 0..2 {
        assert_eq!(subject.store().streams().unwrap(), [ONE].map(FoundStream::whole));
        assert_eq!(subject.store().state(ONE, b"a").unwrap(), None);
        subject.reopen();
    }
}

fn a_batch_leaves_what_its_last_change_left(subject: &mut dyn Subject) {
    subject.store().apply(&[set(TWO, b"old", b"x"), set(TWO, b"k", b"x"), put(TWO, 1, "s", b"x")]).unwrap();
    subject
        .store()
        .apply(&[
            set(ONE, b"k", b"1"),
            put(ONE, 1, "s", b"x"),
            set(ONE, b"k", b"2"),
            put(ONE, 2, "s", b"x"),
            remove(ONE, 1, "s"),
            Change::ClearState { stream: ONE, key: (*b"k").into() },
            set(ONE, b"k", b"3"),
            set(ONE, b"gone", b"1"),
            Change::ClearState { stream: ONE, key: (*b"gone").into() },
            set(TWO, b"k", b"y"),
            put(TWO, 2, "s", b"x"),
            Change::DropStream { stream: TWO },
        ])
        .unwrap();
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.state(ONE, b"k").unwrap().as_deref(), Some(&b"3"[..]));
        assert_eq!(store.state(ONE, b"gone").unwrap(), None);
        assert_eq!(store.get(ONE, 1).unwrap(), None);
        assert_eq!(of_subject(store, ONE, "s", 0..=9), [2]);
        assert!(states(store, TWO, b"").is_empty());
        assert_eq!(store.streams().unwrap(), [ONE].map(FoundStream::whole));
        subject.reopen();
    }
}

fn dropped_streams_are_gone_and_their_numbers_not_reused(subject: &mut dyn Subject) {
    let store = subject.store();
    assert_eq!(store.next_stream().unwrap(), ONE);
    let mut changes: Vec<_> = (1..=3000).map(|seq| put(TWO, seq, "s", b"x")).collect();
    changes.push(set(TWO, b"k", b"v"));
    changes.push(set(ONE, b"k", b"v"));
    changes.push(put(ONE, 1, "s", b"x"));
    store.apply(&changes).unwrap();
    assert_eq!(store.next_stream().unwrap(), StreamId(3));
    store.apply(&[Change::DropStream { stream: TWO }]).unwrap();
    assert!(states(store, TWO, b"").is_empty());
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.next_stream().unwrap(), StreamId(3));
        assert_eq!(store.streams().unwrap(), [ONE].map(FoundStream::whole));
        assert_eq!(store.state(TWO, b"k").unwrap(), None);
        assert_eq!(backwards(store, ONE, 0..=Seq::MAX), [1]);
        subject.reopen();
    }
    // Messages may stay for some time, but not for long.
    let is_gone = |subject: &dyn Subject| {
        backwards(subject.store(), TWO, 0..=Seq::MAX).is_empty()
            && of_subject(subject.store(), TWO, "s", 0..=Seq::MAX).is_empty()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !is_gone(subject) {
        assert!(std::time::Instant::now() < deadline, "the messages of a dropped stream are still there");
        std::thread::yield_now();
    }
    subject.reopen();
    assert!(is_gone(subject));
    assert_eq!(subject.store().next_stream().unwrap(), StreamId(3));
}

fn a_visitor_may_read(subject: &mut dyn Subject) {
    let store = subject.store();
    let changes: Vec<_> = (1..=200).map(|seq| put(ONE, seq, "s", b"x")).collect();
    store.apply(&changes).unwrap();
    let mut seen = 0;
    store
        .scan(ONE, 1..=200, &mut |seq, _| {
            assert!(store.get(ONE, seq).unwrap().is_some());
            assert_eq!(store.last_of_subject(ONE, "s", 1..=seq).unwrap(), Some(seq));
            seen += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, 200);
}

fn readers_see_whole_messages_while_others_are_written(subject: &mut dyn Subject) {
    let store = subject.store();
    let payload = [7; 500];
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 5000 {
                        for (seq, found) in scanned(store, ONE, last + 1..=Seq::MAX) {
                            assert!(seq > last);
                            assert_eq!(found, record("s", seq, &payload));
                            last = seq;
                        }
                    }
                })
            })
            .collect();
        for first in (1..=5000).step_by(100) {
            let changes: Vec<_> = (first..first + 100).map(|seq| put(ONE, seq, "s", &payload)).collect();
            store.apply(&changes).unwrap();
            assert!(store.get(ONE, first + 99).unwrap().is_some());
        }
        store.sync().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

fn large_messages_are_kept(subject: &mut dyn Subject) {
    let sizes = [0, 1, 1023, 1024, 4095, 4096, 70_000, 8 * 1024 * 1024];
    let payload = |size: usize| (0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    for (seq, size) in (1..).zip(sizes) {
        subject.store().apply(&[put(ONE, seq, "s", &payload(size))]).unwrap();
    }
    for _ in 0..2 {
        let found = scanned(subject.store(), ONE, 1..=100);
        for ((seq, found), size) in found.iter().zip(sizes) {
            assert!(*found == record("s", *seq, &payload(size)), "{size} bytes");
            assert!(subject.store().get(ONE, *seq).unwrap().as_ref() == Some(found));
        }
        assert_eq!(found.len(), sizes.len());
        subject.reopen();
    }
}

fn what_was_refused_was_not_applied(subject: &mut dyn Subject) {
    let wrong = Record { subject: "s".into(), time: 0, header_len: 2, data: Bytes::from_static(b"x") };
    let changes = [put(ONE, 1, "s", b"x"), Change::Put { stream: ONE, seq: 2, record: wrong, listed: true }];
    assert!(matches!(subject.store().apply(&changes), Err(StoreError::Failed(_))));
    assert!(matches!(subject.store().apply(&[put(StreamId(0), 1, "s", b"x")]), Err(StoreError::Failed(_))));
    for _ in 0..2 {
        assert!(backwards(subject.store(), ONE, 0..=Seq::MAX).is_empty());
        assert_eq!(subject.store().next_stream().unwrap(), ONE);
        subject.reopen();
    }
    subject.store().apply(&[put(ONE, 1, "s", b"x")]).unwrap();
    assert_eq!(backwards(subject.store(), ONE, 0..=Seq::MAX), [1]);
}

fn nothing_differs_from_plain_maps(subject: &mut dyn Subject) {
    model::compare(subject);
}

/// A name that lives long enough for a record.
pub(super) fn name(number: u8) -> Arc<str> {
    ["a", "a.b", "b", "c.d.e"][usize::from(number % 4)].into()
}
