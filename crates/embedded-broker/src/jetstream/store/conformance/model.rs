//! Random changes, applied to a store and to plain maps.

use super::{Subject, backwards, name, of_subject, scanned, states};
use crate::jetstream::store::{Change, Record, Seq, StreamId};
use bytes::Bytes;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
enum Step {
    /// So many messages, with payloads of this size.
    Put {
        stream: u8,
        count: u8,
        subject: u8,
        size: u16,
        listed: bool,
    },
    /// The n-th message is listed, if it is there and was not.
    List {
        stream: u8,
        nth: u8,
    },
    /// The n-th message that is there, if there are so many.
    Remove {
        stream: u8,
        nth: u8,
    },
    Set {
        stream: u8,
        key: Vec<u8>,
        value: u8,
    },
    Clear {
        stream: u8,
        key: Vec<u8>,
    },
    Drop {
        stream: u8,
    },
}

#[derive(Debug, Clone)]
enum Action {
    Apply(Vec<Step>),
    Sync,
    Reopen,
}

#[derive(Debug, Default)]
struct Model {
    /// With whether it is listed.
    messages: BTreeMap<(StreamId, Seq), (Record, bool)>,
    state: BTreeMap<(StreamId, Vec<u8>), Bytes>,
    last: BTreeMap<StreamId, Seq>,
    /// The streams that steps name; a dropped one gets a new number.
    numbers: BTreeMap<u8, StreamId>,
    dropped: BTreeSet<StreamId>,
    highest: u32,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || proptest::collection::vec(0_u8..3, 0..3);
    prop_oneof![
        4 => (0_u8..3, 1_u8..5, 0_u8..4, prop_oneof![0_u16..64, 4000_u16..5000], any::<bool>()).prop_map(
            |(stream, count, subject, size, listed)| Step::Put { stream, count, subject, size, listed }
        ),
        1 => (0_u8..3, any::<u8>()).prop_map(|(stream, nth)| Step::List { stream, nth }),
        2 => (0_u8..3, any::<u8>()).prop_map(|(stream, nth)| Step::Remove { stream, nth }),
        2 => (0_u8..3, key(), any::<u8>()).prop_map(|(stream, key, value)| Step::Set { stream, key, value }),
        1 => (0_u8..3, key()).prop_map(|(stream, key)| Step::Clear { stream, key }),
        1 => (0_u8..3).prop_map(|stream| Step::Drop { stream }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        10 => proptest::collection::vec(step(), 1..8).prop_map(Action::Apply),
        2 => Just(Action::Sync),
        1 => Just(Action::Reopen),
    ]
}

impl Model {
    fn number(&mut self, stream: u8) -> StreamId {
        let highest = &mut self.highest;
        *self.numbers.entry(stream).or_insert_with(|| {
            *highest += 1;
            StreamId(*highest)
        })
    }

    fn changes(&mut self, step: &Step) -> Vec<Change> {
        match step {
            Step::Put { stream, count, subject, size, listed } => {
                let stream = self.number(*stream);
                let put = |number: u8| {
                    let last = self.last.entry(stream).or_insert(0);
                    *last += 1;
                    let record = Record {
                        subject: name(subject.wrapping_add(number)),
                        time: i64::try_from(*last).unwrap(),
                        header_len: usize::from(*size / 2),
                        data: vec![number; usize::from(*size)].into(),
                    };
                    self.messages.insert((stream, *last), (record.clone(), *listed));
                    Change::Put { stream, seq: *last, record, listed: *listed }
                };
                (0..*count).map(put).collect()
            }
            Step::Remove { stream, nth } => {
                let stream = self.number(*stream);
                let mut there = self.messages.range((stream, 0)..=(stream, Seq::MAX));
                let nth = there.nth(usize::from(*nth) % 16);
                let Some((&(_, seq), (record, listed))) = nth else { return Vec::new() };
                let change = Change::Remove { stream, seq, subject: record.subject.clone(), listed: *listed };
                self.messages.remove(&(stream, seq));
                vec![change]
            }
            Step::List { stream, nth } => {
                let stream = self.number(*stream);
                let mut there = self.messages.range_mut((stream, 0)..=(stream, Seq::MAX));
                let nth = there.nth(usize::from(*nth) % 16);
                let Some((&(_, seq), (record, listed))) = nth.filter(|(_, (_, listed))| !*listed) else {
                    return Vec::new();
                };
                *listed = true;
                vec![Change::List { stream, seq, subject: record.subject.clone() }]
            }
            Step::Set { stream, key, value } => {
                let stream = self.number(*stream);
                let value = Bytes::from(vec![*value]);
                self.state.insert((stream, key.clone()), value.clone());
                vec![Change::SetState { stream, key: key.as_slice().into(), value }]
            }
            Step::Clear { stream, key } => {
                let stream = self.number(*stream);
                self.state.remove(&(stream, key.clone()));
                vec![Change::ClearState { stream, key: key.as_slice().into() }]
            }
            Step::Drop { stream } => {
                let id = self.number(*stream);
                self.numbers.remove(stream);
                self.dropped.insert(id);
                self.state.retain(|(of, _), _| *of != id);
                self.messages.retain(|(of, _), _| *of != id);
                vec![Change::DropStream { stream: id }]
            }
        }
    }

    fn check(&self, subject: &dyn Subject) {
        let store = subject.store();
        let streams: Vec<_> = store.streams().unwrap().into_iter().map(|found| found.stream).collect();
        let expected: BTreeSet<_> = self.state.keys().map(|(stream, _)| *stream).collect();
        assert_eq!(streams, expected.into_iter().collect::<Vec<_>>());
        for number in 1..=self.highest {
            let stream = StreamId(number);
            let state = self.state.iter().filter(|((of, _), _)| *of == stream);
            let state: Vec<_> = state.map(|((_, key), value)| (key.clone(), value.clone())).collect();
            assert_eq!(states(store, stream, b""), state);
            if self.dropped.contains(&stream) {
                continue;
            }
            let messages = self.messages.range((stream, 0)..=(stream, Seq::MAX));
            let messages: Vec<_> = messages.map(|((_, seq), kept)| (*seq, kept.clone())).collect();
            let records: Vec<_> = messages.iter().map(|(seq, (record, _))| (*seq, record.clone())).collect();
            assert_eq!(scanned(store, stream, 0..=Seq::MAX), records);
            let sequences: Vec<_> = messages.iter().map(|(seq, _)| *seq).rev().collect();
            assert_eq!(backwards(store, stream, 0..=Seq::MAX), sequences);
            let end = self.last.get(&stream).copied().unwrap_or(0);
            let range = end / 3..=end * 2 / 3;
            for subject in (0..4).map(name) {
                let expected = messages
                    .iter()
                    .filter(|(seq, (record, listed))| {
                        *listed && range.contains(seq) && record.subject == subject
                    })
                    .map(|(seq, _)| *seq);
                let expected: Vec<_> = expected.collect();
                assert_eq!(of_subject(store, stream, &subject, range.clone()), expected);
                assert_eq!(
                    store.last_of_subject(stream, &subject, range.clone()).unwrap(),
                    expected.last().copied()
                );
            }
        }
    }
}

/// Many histories, one after the other in streams of the same store.
pub(super) fn compare(subject: &mut dyn Subject) {
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let subject = std::cell::RefCell::new(subject);
    let histories = proptest::collection::vec(action(), 1..20);
    let outcome = runner.run(&histories, |actions| {
        let mut subject = subject.borrow_mut();
        let mut model = Model::default();
        // The streams of earlier histories make room.
        let old = subject.store().streams().unwrap();
        let drops: Vec<_> = old.iter().map(|found| Change::DropStream { stream: found.stream }).collect();
        subject.store().apply(&drops).unwrap();
        let first = subject.store().next_stream().unwrap();
        model.highest = first.0 - 1;
        model.dropped.extend((1..first.0).map(StreamId));
        for action in actions {
            match action {
                Action::Apply(steps) => {
                    let changes: Vec<_> = steps.iter().flat_map(|step| model.changes(step)).collect();
                    subject.store().apply(&changes).unwrap();
                }
                Action::Sync => subject.store().sync().unwrap(),
                Action::Reopen => subject.reopen(),
            }
            model.check(&**subject);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
