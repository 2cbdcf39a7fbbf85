//! A stream against a model that keeps its messages in a map.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

use super::running::Running;
use crate::jetstream::{
    store::{Change, Seq, StreamStore as _},
    stream::{Filters, Stream},
};

const SUBJECTS: [&str; 6] = ["s.a", "s.b", "s.a.x", "s.b.x", "s.c.y", "s.a-"];
const FILTERS: [&str; 9] = [">", "s.a", "s.*", "s.*.x", "s.>", "s.a.>", "s.c.*", "s.none", "s.a-"];

#[derive(Debug, Clone)]
enum Step {
    Publish(&'static str),
    /// So many at once, round and round.
    Burst(&'static str, &'static str, usize),
    /// How many messages of a subject are kept.
    Limit(Option<usize>),
    RollUp(&'static str),
    Delete(Seq),
    Purge(&'static str, Option<Seq>, Option<u64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => select(&SUBJECTS[..]).prop_map(Step::Publish),
        2 => (select(&SUBJECTS[..]), select(&SUBJECTS[..]), 2_usize..6).prop_map(|(a, b, n)| Step::Burst(a, b, n)),
        1 => prop_oneof![Just(None), Just(Some(1)), Just(Some(3))].prop_map(Step::Limit),
        1 => select(&SUBJECTS[..]).prop_map(Step::RollUp),
        2 => (1_u64..40).prop_map(Step::Delete),
        1 => (select(&FILTERS[..]), proptest::option::of(1_u64..40)).prop_map(|(f, seq)| Step::Purge(f, seq, None)),
        1 => (select(&FILTERS[..]), 1_u64..4).prop_map(|(f, keep)| Step::Purge(f, None, Some(keep))),
    ];
    vec(step, 1..60)
}

fn filters(filter: &str) -> Filters {
    Filters::any_of([filter.parse().unwrap()])
}

#[derive(Default)]
struct Model {
    messages: BTreeMap<Seq, &'static str>,
    last: Seq,
    limit: Option<usize>,
}

impl Model {
    fn publish(&mut self, subject: &'static str) {
        self.last += 1;
        self.messages.insert(self.last, subject);
        self.keep_limit(subject);
    }

    fn keep_limit(&mut self, subject: &str) {
        let of_subject = self.messages.iter().filter(|(_, of)| **of == subject).map(|(seq, _)| *seq);
        let of_subject: Vec<_> = of_subject.collect();
        let excess = self.limit.map_or(0, |most| of_subject.len().saturating_sub(most));
        for seq in &of_subject[..excess] {
            self.messages.remove(seq);
        }
    }

    fn matching(&self, filter: &str, from: Seq, to: Seq) -> Vec<Seq> {
        if from > to {
            return Vec::new();
        }
        let filters = filters(filter);
        let range = self.messages.range(from..=to);
        range.filter(|(_, subject)| filters.matches(subject)).map(|(seq, _)| *seq).collect()
    }

    fn step(&mut self, step: &Step) -> u64 {
        let before = self.messages.len();
        match *step {
            Step::Publish(subject) => {
                self.publish(subject);
                return self.last;
            }
            Step::Burst(one, other, count) => {
                (0..count).for_each(|n| self.publish(if n % 2 == 0 { one } else { other }));
                return self.last;
            }
            Step::Limit(limit) => {
                self.limit = limit;
                for subject in SUBJECTS {
                    self.keep_limit(subject);
                }
                return 0;
            }
            Step::RollUp(subject) => {
                self.last += 1;
                self.messages.retain(|_, other| *other != subject);
                self.messages.insert(self.last, subject);
                return self.last;
            }
            Step::Delete(seq) => drop(self.messages.remove(&seq)),
            Step::Purge(filter, seq, keep) => {
                let end = seq.map_or(Seq::MAX, |seq| seq - 1);
                let mut gone = self.matching(filter, 0, end);
                gone.truncate(gone.len().saturating_sub(usize::try_from(keep.unwrap_or(0)).unwrap()));
                self.messages.retain(|seq, _| !gone.contains(seq));
                if filter == ">" {
                    self.last = self.last.max(seq.unwrap_or(0).saturating_sub(1));
                }
            }
        }
        (before - self.messages.len()) as u64
    }

    fn first(&self) -> Seq {
        self.messages.keys().next().copied().unwrap_or(self.last + 1)
    }
}

fn act(running: &mut Running, step: &Step) -> u64 {
    let number = |answer: &Value, member: &str| answer[member].as_u64().unwrap_or(0);
    match *step {
        Step::Publish(subject) => number(&running.ask(subject, "x"), "seq"),
        Step::Burst(one, other, count) => {
            // Those that wait for the first one are one group.
            running.files.hold();
            let send = |n| running.send(if n % 2 == 0 { one } else { other }, &[], "x");
            let inboxes: Vec<_> = (0..count).map(send).collect();
            running.files.release();
            number(&running.answer(inboxes.last().unwrap()), "seq")
        }
        Step::Limit(limit) => {
            let most = limit.map_or(-1, |most| i64::try_from(most).unwrap());
            let update = format!(
                r#"{{"name":"S","subjects":["s.>"],"allow_rollup_hdrs":true,"max_msgs_per_subject":{most}}}"#
            );
            let answer = running.api("STREAM.UPDATE.S", &update);
            assert_eq!(answer["error"], Value::Null, "{answer}");
            0
        }
        Step::RollUp(subject) => {
            let inbox = running.send(subject, &[("Nats-Rollup", "sub")], "x");
            number(&running.answer(&inbox), "seq")
        }
        Step::Delete(seq) => {
            u64::from(running.api("STREAM.MSG.DELETE.S", &format!(r#"{{"seq":{seq}}}"#))["success"] == true)
        }
        Step::Purge(filter, seq, keep) => {
            let request = serde_json::json!({
                "filter": if filter == ">" { "" } else { filter },
                "seq": seq.unwrap_or(0),
                "keep": keep.unwrap_or(0),
            });
            number(&running.api("STREAM.PURGE.S", &request.to_string()), "purged")
        }
    }
}

fn check(stream: &Arc<Stream>, model: &Model) {
    let totals = stream.totals();
    assert_eq!(totals.messages, model.messages.len() as u64);
    assert_eq!((totals.first_seq, totals.last_seq), (model.first(), model.last));
    let gaps: Vec<_> = (model.first()..=model.last).filter(|seq| !model.messages.contains_key(seq)).collect();
    assert_eq!(stream.deleted(usize::MAX).unwrap(), gaps);
    for filter in FILTERS {
        let (all, end) = (filters(filter), model.last);
        for from in [0, 1, model.first(), model.last / 2, model.last, model.last + 1] {
            let expected = model.matching(filter, from, end);
            let next = stream.next(&all, from).unwrap().map(|(seq, _)| seq);
            assert_eq!(next, expected.first().copied(), "next {filter} from {from}");
            assert_eq!(
                stream.count(&all, from..=end).unwrap(),
                expected.len() as u64,
                "count {filter} from {from}"
            );
            let mut read = Vec::new();
            let mut at = from;
            while at <= end {
                let page = stream.read(&all, at, 3, usize::MAX).unwrap();
                read.extend(page.messages.iter().map(|(seq, _)| *seq));
                assert!(page.next > at, "it goes on");
                at = page.next;
            }
            assert_eq!(read, expected, "read {filter} from {from}");
            let before = model.matching(filter, 0, from);
            let last = stream.last(&all, from).unwrap().map(|(seq, _)| seq);
            assert_eq!(last, before.last().copied(), "last {filter} up to {from}");
            let by_subject: BTreeMap<_, _> = before.iter().map(|seq| (model.messages[seq], *seq)).collect();
            let mut lasts: Vec<_> = by_subject.into_values().collect();
            lasts.sort_unstable();
            assert_eq!(stream.last_per_subject(&all, from).unwrap(), lasts, "lasts {filter} up to {from}");
        }
    }
    for (seq, _) in model.messages.iter().take(5) {
        let time = stream.get(*seq).unwrap().unwrap().time;
        let found = stream.seq_at(time).unwrap();
        let record = stream.get(found).unwrap().unwrap();
        assert!(found <= *seq && record.time == time, "the first message of that time");
        assert!(stream.seq_at(time + 1).unwrap() > *seq);
    }
    assert_eq!(stream.seq_at(i64::MAX).unwrap(), model.last + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_is_what_was_done_to_it(steps in steps(), index in any::<u64>()) {
        let mut running = Running::new();
        let stream = running.stream(r#""allow_rollup_hdrs":true"#);
        let mut model = Model::default();
        for step in &steps {
            prop_assert_eq!(act(&mut running, step), model.step(step), "{:?}", step);
        }
        check(&stream, &model);
        // And after a restart.
        let files = Arc::clone(&running.files);
        drop(running);
        let running = Running::on(files);
        let stream = running.engine.stream("S").unwrap();
        check(&stream, &model);
        // And after damage that took part of the index with it.
        let (files, id) = (Arc::clone(&running.files), stream.id);
        drop((stream, running));
        let lost: Vec<_> = model.messages.keys().filter(|seq| index >> (*seq % 64) & 1 == 1).copied().collect();
        for seq in lost {
            let record = files.get(id, seq).unwrap().unwrap();
            let subject = Arc::clone(&record.subject);
            files.apply(&[
                Change::Remove { stream: id, seq, subject, listed: true },
                Change::Put { stream: id, seq, record, listed: false },
            ]).unwrap();
        }
        files.set_damaged();
        let mut running = Running::on(files);
        check(&running.engine.stream("S").unwrap(), &model);
        for step in &steps {
            prop_assert_eq!(act(&mut running, step), model.step(step), "{:?}", step);
        }
        check(&running.engine.stream("S").unwrap(), &model);
    }

    /// More messages than a search looks at one by one.
    #[test]
    fn matches_that_are_far_between_are_found(rare in vec(1_u64..1500, 1..4), from in 1_u64..1500) {
        let mut running = Running::new();
        let stream = running.stream("");
        running.files.hold();
        let mut inbox = running.send("s.first", &[], "");
        for seq in 2..1500 {
            inbox = running.send(if rare.contains(&seq) { "s.rare" } else { "s.common" }, &[], "");
        }
        running.files.release();
        prop_assert_eq!(&running.answer(&inbox)["seq"], 1499);
        let filters = Filters::any_of(["s.rare".parse().unwrap(), "s.absent.*".parse().unwrap()]);
        let expected = rare.iter().filter(|seq| **seq >= from && **seq > 1 && **seq < 1500).min();
        let found = stream.next(&filters, from).unwrap().map(|(seq, _)| seq);
        prop_assert_eq!(found.as_ref(), expected);
    }
}
