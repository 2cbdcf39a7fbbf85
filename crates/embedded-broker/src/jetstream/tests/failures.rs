//! A store that is full, or fails: publishers are told, and the stream goes on from what is stored.

use serde_json::json;

use super::{
    running::{Running, refusal},
    store::Mood,
};
use crate::jetstream::{JetStreamConfig, JetStreamLimits, store::StreamStore as _, stream_config::Storage};

const NO_ROOM: u64 = 10047;
const NOT_STORED: u64 = 10077;

#[test]
fn a_full_disk_refuses_and_is_forgotten_when_it_has_room() {
    let mut running = Running::new();
    running.stream("");
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    running.set(Mood::Full);
    for _ in 0..3 {
        assert_eq!(refusal(&running.ask("s.a", "2")), NO_ROOM);
    }
    let state = running.state();
    assert_eq!((&state["messages"], &state["last_seq"]), (&json!(1), &json!(1)));
    running.set(Mood::Well);
    assert_eq!(running.ask("s.a", "3")["seq"], 2, "no sequence is lost");
    let state = running.state();
    assert_eq!(
        (&state["messages"], &state["last_seq"], &state["num_deleted"]),
        (&json!(2), &json!(2), &json!(null))
    );
}

#[test]
fn a_full_disk_still_deletes() {
    let mut running = Running::new();
    running.stream("");
    running.ask("s.a", "1");
    running.ask("s.b", "2");
    // A group of a message and a delete.
    running.files.hold();
    let first = running.send("s.c", &[], "3");
    running.files.until_waiting();
    let second = running.send("s.c", &[], "4");
    let stream = running.engine.stream("S").unwrap();
    let (done, deleted) = std::sync::mpsc::channel();
    running.engine.commit.operate(
        &stream,
        crate::jetstream::commit::Operation::Delete(1),
        move |result, _| {
            done.send(result).unwrap();
        },
    );
    running.set(Mood::Full);
    running.files.release();
    assert_eq!(refusal(&running.answer(&first)), NO_ROOM);
    assert_eq!(refusal(&running.answer(&second)), NOT_STORED, "it was decided after one that is void");
    assert_eq!(deleted.recv().unwrap().unwrap().removed, 1);
    let state = running.state();
    assert_eq!(
        (&state["messages"], &state["first_seq"], &state["last_seq"]),
        (&json!(1), &json!(2), &json!(2))
    );
}

#[test]
fn memory_streams_do_not_suffer_from_a_full_disk() {
    let mut running = Running::new();
    running.stream("");
    running.api("STREAM.CREATE.M", r#"{"name":"M","subjects":["m"],"storage":"memory"}"#);
    running.files.hold();
    let first = running.send("s.a", &[], "1");
    running.files.until_waiting();
    let (file, memory) = (running.send("s.a", &[], "2"), running.send("m", &[], "2"));
    running.set(Mood::Full);
    running.files.release();
    assert_eq!(refusal(&running.answer(&first)), NO_ROOM);
    let answers: std::collections::HashMap<_, _> = running.answered(2).into_iter().collect();
    assert_ne!(refusal(&answers[&file]), 0);
    assert_eq!(answers[&memory]["seq"], 1);
}

#[test]
fn what_was_decided_after_a_message_that_failed_is_void() {
    let mut running = Running::new();
    running.stream("");
    running.ask("s.a", "1");
    running.files.hold();
    let id = [("Nats-Msg-Id", "x")];
    let first = running.send("s.a", &id, "2");
    running.files.until_waiting();
    let duplicate = running.send("s.a", &id, "2");
    let expecting = running.send("s.a", &[("Nats-Expected-Last-Sequence", "2")], "3");
    running.set(Mood::Failing);
    running.files.release();
    for inbox in [first, duplicate, expecting] {
        assert_eq!(refusal(&running.answer(&inbox)), NOT_STORED);
    }
    running.set(Mood::Well);
    let inbox = running.send("s.a", &id, "2");
    let answer = running.answer(&inbox);
    assert_eq!(answer["seq"], 2);
    assert_eq!(answer["duplicate"], json!(null), "the id was forgotten with its message");
    let inbox = running.send("s.a", &id, "2");
    assert_eq!(running.answer(&inbox)["duplicate"], true);
}

#[test]
fn a_sync_that_fails_acknowledges_nothing() {
    let mut running = Running::new();
    running.stream("");
    running.set(Mood::Unsynced);
    assert_eq!(refusal(&running.ask("s.a", "1")), NOT_STORED);
    running.set(Mood::Well);
    // It is there all the same: the next sequence is behind it.
    assert_eq!(running.ask("s.a", "2")["seq"], 2);
    let state = running.state();
    assert_eq!((&state["messages"], &state["last_seq"]), (&json!(2), &json!(2)));
}

#[test]
fn a_stream_that_could_not_be_made_leaves_nothing() {
    let mut running = Running::new();
    running.set(Mood::Unsynced);
    let config = r#"{"name":"S","subjects":["s.>"]}"#;
    assert_eq!(refusal(&running.api("STREAM.CREATE.S", config)), NOT_STORED);
    assert_eq!(refusal(&running.api("STREAM.INFO.S", "")), 10059);
    running.set(Mood::Well);
    assert_eq!(refusal(&running.api("STREAM.CREATE.S", config)), 0);
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    assert_eq!(running.files.streams().unwrap().len(), 1);
}

#[test]
fn a_delete_that_fails_is_made_up_for() {
    let mut running = Running::new();
    running.stream("");
    running.ask("s.a", "1");
    running.set(Mood::Failing);
    assert_eq!(refusal(&running.api("STREAM.DELETE.S", "")), NOT_STORED);
    assert_eq!(refusal(&running.api("STREAM.INFO.S", "")), 10059);
    assert_eq!(running.engine.usage.held(Storage::File), 0);
    running.set(Mood::Well);
    running.stream("");
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    assert_eq!(running.files.streams().unwrap().len(), 1, "the first one is gone from the store");
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let mut running = Running::new();
    running.stream("");
    running.set(Mood::Failing);
    let wider = r#"{"name":"S","subjects":["s.>","t"],"max_msgs":1}"#;
    assert_eq!(refusal(&running.api("STREAM.UPDATE.S", wider)), NOT_STORED);
    running.set(Mood::Well);
    let config = running.api("STREAM.INFO.S", "")["config"].clone();
    assert_eq!((&config["subjects"], &config["max_msgs"]), (&json!(["s.>"]), &json!(-1)));
    assert_eq!(refusal(&running.api("STREAM.UPDATE.S", wider)), 0);
    assert_eq!(running.ask("t", "1")["seq"], 1);
}

#[test]
fn messages_in_flight_when_their_stream_is_deleted_are_gone_with_it() {
    let mut running = Running::new();
    running.stream("");
    running.files.hold();
    running.send("s.a", &[], "1");
    running.files.until_waiting();
    running.send("s.a", &[], "2");
    let deleted = running.send("$JS.API.STREAM.DELETE.S", &[], "");
    let made = running.send("$JS.API.STREAM.CREATE.S", &[], r#"{"name":"S","subjects":["s.>"]}"#);
    running.files.release();
    assert_eq!(running.answer(&deleted)["success"], true);
    assert_eq!(refusal(&running.answer(&made)), 0);
    assert_eq!(running.state()["last_seq"], 0, "a new stream, without the messages of the old one");
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    assert_eq!(running.files.streams().unwrap().len(), 1);
}

#[test]
fn usage_is_what_is_stored() {
    let limits = JetStreamLimits { max_storage: Some(150), ..JetStreamLimits::default() };
    let config = JetStreamConfig { limits, ..JetStreamConfig::in_memory() };
    let mut running = Running::configured(super::store::MoodyStore::new(), &config);
    running.stream("");
    // 30 + 3 + 17 bytes each.
    for seq in 1..=3 {
        assert_eq!(running.ask("s.a", "12345678901234567")["seq"], seq);
    }
    assert_eq!(running.engine.usage.held(Storage::File), 150);
    assert_eq!(refusal(&running.ask("s.a", "")), NO_ROOM);
    running.api("STREAM.MSG.DELETE.S", r#"{"seq":2}"#);
    assert_eq!(running.engine.usage.held(Storage::File), 100);
    running.set(Mood::Failing);
    assert_eq!(refusal(&running.ask("s.a", "1")), NOT_STORED);
    assert_eq!(running.engine.usage.held(Storage::File), 100, "what failed does not count");
    running.set(Mood::Well);
    assert_eq!(running.ask("s.a", "12345678901234567")["seq"], 4);
    running.api("STREAM.PURGE.S", "");
    assert_eq!(running.engine.usage.held(Storage::File), 0);
    running.ask("s.a", "1");
    running.api("STREAM.DELETE.S", "");
    assert_eq!(running.engine.usage.held(Storage::File), 0);
    let too_large = r#"{"name":"S","subjects":["s.>"],"max_bytes":151}"#;
    assert_eq!(refusal(&running.api("STREAM.CREATE.S", too_large)), NO_ROOM);
}

#[test]
fn a_restart_finds_everything_again() {
    let mut running = Running::new();
    running.stream(r#""max_msgs_per_subject":2"#);
    for seq in 1..=5 {
        running.ask(&format!("s.{}", seq % 2), "x");
    }
    running.api("STREAM.MSG.DELETE.S", r#"{"seq":5}"#);
    let before = running.state();
    let files = std::sync::Arc::clone(&running.files);
    drop(running);
    let mut running = Running::on(files);
    let after = running.state();
    assert_eq!(before, after);
    assert_eq!(
        running.ask("s.a", "1")["seq"],
        6,
        "the sequence of the deleted message is not given away again"
    );
    let held = running.engine.usage.held(Storage::File);
    assert_eq!(json!(held), running.state()["bytes"]);
}

#[test]
fn a_full_disk_is_looked_at_and_streams_are_not_read_again_and_again() {
    let mut running = Running::new();
    running.stream("");
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    let held = running.engine.usage.held(Storage::File);
    running.set(Mood::Full);
    let before = running.files.read_back();
    let id = [("Nats-Msg-Id", "x")];
    for _ in 0..20 {
        let inbox = running.send("s.a", &id, "2");
        assert_eq!(refusal(&running.answer(&inbox)), NO_ROOM);
    }
    assert!(running.files.read_back() <= before + 1, "each refused message reads the stream");
    assert_eq!(running.engine.usage.held(Storage::File), held);
    let expecting = running.send("s.a", &[("Nats-Expected-Last-Sequence", "1")], "2");
    assert_eq!(refusal(&running.answer(&expecting)), NO_ROOM, "what was refused has no sequence");
    running.set(Mood::Well);
    let inbox = running.send("s.a", &id, "3");
    let answer = running.answer(&inbox);
    assert_eq!((&answer["seq"], &answer["duplicate"]), (&json!(2), &json!(null)), "its id was forgotten");
    let expecting = running.send("s.a", &[("Nats-Expected-Last-Msg-Id", "x")], "4");
    assert_eq!(running.answer(&expecting)["seq"], 3);
}

#[test]
fn several_messages_of_one_group_are_refused_alike() {
    let mut running = Running::new();
    running.stream("");
    running.set(Mood::Full);
    assert_eq!(refusal(&running.ask("s.a", "1")), NO_ROOM);
    running.files.hold();
    running.api_later("STREAM.UPDATE.S", r#"{"name":"S","subjects":["s.>"],"max_msgs":10}"#);
    running.files.until_waiting();
    let sent: Vec<_> = (0..3).map(|_| running.send("s.a", &[], "1")).collect();
    running.files.release();
    for inbox in sent {
        assert_eq!(refusal(&running.answer(&inbox)), NO_ROOM);
    }
    running.set(Mood::Well);
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
}

#[test]
fn a_marker_that_there_is_no_room_for_is_tried_again_after_a_while() {
    let mut running = Running::new();
    let members =
        r#""max_age":100000000,"duplicate_window":100000000,"subject_delete_marker_ttl":1000000000"#;
    running.stream(members);
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    running.set(Mood::Full);
    let looks = running.files.until_looked(4);
    let took = looks[3].duration_since(looks[0]);
    assert!(took.as_millis() > 500, "four in {took:?}");
    running.set(Mood::Well);
    while running.state()["last_seq"] != 2 {
        std::thread::yield_now();
    }
}

#[test]
fn a_message_that_cannot_be_stored_is_refused_alone() {
    let mut running = Running::new();
    running.stream("");
    running.files.hold();
    let first = running.send("s.a", &[], "1");
    running.files.until_waiting();
    let long = running.send(&format!("s.{}", "x".repeat(65_000)), &[], "2");
    let other = running.send("s.b", &[], "3");
    running.files.release();
    let answers: std::collections::HashMap<_, _> = running.answered(3).into_iter().collect();
    assert_eq!(answers[&first]["seq"], 1);
    assert_eq!(refusal(&answers[&long]), NOT_STORED);
    assert_eq!(answers[&other]["seq"], 2);
}
