//! What leaves a stream: in which order, how much at a time, and with which totals.

use std::sync::{Arc, mpsc::channel};

use serde_json::json;

use super::running::{Running, refusal};
use crate::jetstream::{
    commit::{Operation, Reply},
    follower::{Follower, Purged},
    store::{Change, Seq},
};

#[test]
fn limits_hold_at_the_end_of_every_group() {
    let mut running = Running::new();
    running.stream(r#""max_msgs":3,"max_msgs_per_subject":2"#);
    running.files.hold();
    running.send("s.a", &[], "0");
    running.files.until_waiting();
    // One group, far beyond the limits.
    let inboxes: Vec<_> = (1..=20).map(|n| running.send(&format!("s.{}", n % 4), &[], "x")).collect();
    running.files.release();
    assert_eq!(running.answer(inboxes.last().unwrap())["seq"], 21);
    let state = running.api("STREAM.INFO.S", r#"{"subjects_filter":">"}"#)["state"].clone();
    assert_eq!(
        (&state["messages"], &state["first_seq"], &state["last_seq"]),
        (&json!(3), &json!(19), &json!(21))
    );
    assert_eq!(state["subjects"], json!({"s.2":1, "s.3":1, "s.0":1}));
}

#[test]
fn a_large_purge_lets_others_go_on() {
    let mut running = Running::new();
    running.stream("");
    let count = 25_000;
    running.files.hold();
    running.send("s.a", &[], "0");
    running.files.until_waiting();
    for _ in 1..count {
        running.send("s.a", &[], "x");
    }
    running.files.release();
    let inbox = running.send("s.a", &[], "last");
    assert_eq!(running.answer(&inbox)["seq"], count + 1);
    let (purge, other) = (running.send("$JS.API.STREAM.PURGE.S", &[], ""), running.send("s.b", &[], "new"));
    let (mut purged, mut stored) = (None, None);
    while purged.is_none() || stored.is_none() {
        let (to, answer) = running.answered(1).remove(0);
        if to == purge {
            purged = Some(answer);
        } else if to == other {
            stored = Some(answer);
        }
    }
    assert_eq!(stored.unwrap()["seq"], count + 2);
    let purged = purged.unwrap()["purged"].as_u64().unwrap();
    assert!(purged == count + 1 || purged == count + 2, "{purged}");
    let state = running.state();
    assert_eq!(state["messages"], json!(count + 2 - purged));
    assert_eq!(state["last_seq"], json!(count + 2));
}

#[test]
fn purges_that_keep_some() {
    let mut running = Running::new();
    running.stream("");
    for n in 0..10 {
        running.ask(if n % 2 == 0 { "s.a" } else { "s.b" }, "x");
    }
    let purged = running.api("STREAM.PURGE.S", r#"{"filter":"s.a","keep":2}"#);
    assert_eq!(purged["purged"], 3);
    let purged = running.api("STREAM.PURGE.S", r#"{"filter":"s.*","keep":3}"#);
    assert_eq!(purged["purged"], 4);
    let state = running.api("STREAM.INFO.S", r#"{"deleted_details":true}"#)["state"].clone();
    assert_eq!((&state["messages"], &state["first_seq"]), (&json!(3), &json!(8)));
    let purged = running.api("STREAM.PURGE.S", r#"{"filter":"s.*","keep":3}"#);
    assert_eq!(purged["purged"], 0);
    let purged = running.api("STREAM.PURGE.S", r#"{"keep":1}"#);
    assert_eq!(purged["purged"], 2);
}

#[test]
fn a_purge_beyond_the_end_moves_the_end_for_those_in_flight_too() {
    let mut running = Running::new();
    running.stream("");
    running.files.hold();
    let first = running.send("s.a", &[], "1");
    running.files.until_waiting();
    let second = running.send("s.a", &[], "2");
    let stream = running.engine.stream("S").unwrap();
    let purge = crate::jetstream::commit::Purge {
        filter: crate::jetstream::stream::Filters::everything(),
        bound: crate::jetstream::commit::PurgeBound::Before(100),
    };
    let (done, purged) = channel();
    stream.purge(purge, move |result, _| done.send(result).unwrap());
    let third = running.send("s.a", &[], "3");
    running.files.release();
    assert_eq!(running.answer(&first)["seq"], 1);
    assert_eq!(running.answer(&second)["seq"], 2);
    assert_eq!(purged.recv().unwrap().unwrap().removed, 2);
    assert_eq!(running.answer(&third)["seq"], 100);
    let state = running.state();
    assert_eq!(
        (&state["messages"], &state["first_seq"], &state["last_seq"]),
        (&json!(1), &json!(100), &json!(100))
    );
}

/// Wants everything of a subject, and is done with the odd sequences.
struct OddsDone(&'static str);

impl Follower for OddsDone {
    fn committed(&self, _: &[(Seq, Arc<str>)]) {}
    fn shown(&self) {}
    fn removed(&self, _: &[(Seq, Arc<str>)]) {}
    fn purging(&self, _: &Purged) {}

    fn purged(&self, _: &Purged) {}
    fn needs(&self, seq: Seq, subject: &str) -> bool {
        self.wants(subject) && seq.is_multiple_of(2)
    }
    fn wants(&self, subject: &str) -> bool {
        subject == self.0
    }
    fn take_changes(&self, _: &mut Vec<Change>) -> Vec<Reply> {
        Vec::new()
    }
    fn keeps_state_in_memory(&self) -> bool {
        true
    }
}

/// What a sweep leaves of four messages to each of two subjects, of which one is followed.
fn swept(retention: &str) -> serde_json::Value {
    let mut running = Running::new();
    let stream = running.stream(&format!(r#""retention":"{retention}""#));
    let everything = Arc::new(OddsDone("s.b")) as Arc<dyn Follower>;
    stream.follow(Arc::new(OddsDone("s.a")), |_| ());
    stream.follow(Arc::clone(&everything), |_| ());
    for n in 0..8 {
        running.ask(if n < 4 { "s.a" } else { "s.b" }, "x");
    }
    stream.unfollow(&everything);
    let (done, removed) = channel();
    running.engine.commit.operate(&stream, Operation::Sweep(0), move |result, _| done.send(result).unwrap());
    removed.recv().unwrap().unwrap();
    running.api("STREAM.INFO.S", r#"{"subjects_filter":">"}"#)["state"]["subjects"].clone()
}

#[test]
fn a_sweep_removes_what_consumers_are_done_with() {
    assert_eq!(swept("limits"), json!({"s.a":4, "s.b":4}));
    assert_eq!(swept("interest"), json!({"s.a":2}), "nobody wants what nobody follows");
    assert_eq!(swept("workqueue"), json!({"s.a":2, "s.b":4}), "what nobody follows waits for somebody");
}

#[test]
fn a_narrower_stream_takes_nothing_more() {
    let mut running = Running::new();
    running.stream("");
    running.ask("s.a", "x");
    let update = running.api("STREAM.UPDATE.S", r#"{"name":"S","subjects":["s.b"]}"#);
    assert_eq!(refusal(&update), 0);
    assert_eq!(running.ask("s.b", "x")["seq"], 2);
    let other = running.api("STREAM.CREATE.T", r#"{"name":"T","subjects":["s.a"]}"#);
    assert_eq!(refusal(&other), 0);
    assert_eq!(running.ask("s.a", "x")["stream"], "T");
}
