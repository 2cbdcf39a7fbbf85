//! That something is not there is said between groups only, and interest of who could not join is not kept.

use super::{
    running::{Running, refusal},
    store::Mood,
};
use crate::jetstream::store::{Change, StreamStore as _};

#[test]
fn what_a_group_removes_is_missed_when_that_is_durable() {
    for get in [
        ("$JS.API.DIRECT.GET.S.s.a", ""),
        ("$JS.API.DIRECT.GET.S", r#"{"last_by_subj":"s.a"}"#),
        ("$JS.API.DIRECT.GET.S", r#"{"multi_last":["s.*"]}"#),
        ("$JS.API.DIRECT.GET.S", r#"{"seq":1}"#),
    ] {
        let mut running = Running::new();
        running.stream(r#""allow_direct":true,"max_msgs_per_subject":1"#);
        assert_eq!(running.ask("s.a", "1")["seq"], 1);
        running.files.hold_sync();
        let deleted = running.api_later("STREAM.MSG.DELETE.S", r#"{"seq":1}"#);
        running.files.until_waiting();
        let asked = running.send(get.0, &[], get.1);
        // Whoever asks waits for the group.
        while running.engine.commit.held_by_jobs() == 0 {
            assert_eq!(running.early_answer(), None, "{get:?}");
            running.engine.scheduler.nudge();
            std::thread::yield_now();
        }
        running.files.release();
        let order = [running.next_answer(), running.next_answer()];
        assert_eq!(order, [deleted, asked], "{get:?}");
    }
}

#[test]
fn who_could_not_join_keeps_nothing() {
    let mut running = Running::new();
    running.stream(r#""retention":"interest","first_seq":5"#);
    let all = r#"{"stream_name":"S","config":{"durable_name":"A","ack_policy":"explicit"}}"#;
    assert_eq!(refusal(&running.api("CONSUMER.CREATE.S.A", all)), 0);
    for subject in ["s.a", "s.b", "s.a", "s.b"] {
        running.ask(subject, "x");
    }
    running.set(Mood::Closed);
    let some = r#"{"stream_name":"S","config":{"durable_name":"B","ack_policy":"explicit","filter_subject":"s.b","deliver_policy":"by_start_sequence","opt_start_seq":7}}"#;
    assert_ne!(refusal(&running.api("CONSUMER.CREATE.S.B", some)), 0);
    running.set(Mood::Well);
    let stream = running.engine.stream("S").unwrap();
    assert_eq!(stream.followers().len(), 1, "it is followed by A alone");
}

#[test]
fn a_stream_with_a_consumer_that_cannot_be_read_is_passed_over_whole() {
    let mut running = Running::new();
    let stream = running.stream(r#""retention":"interest""#);
    let config = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    assert_eq!(refusal(&running.api("CONSUMER.CREATE.S.C", config)), 0);
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    let id = stream.id;
    let mut key = None;
    let files = std::sync::Arc::clone(&running.files);
    files
        .scan_state(id, b"CC", &mut |found, value| {
            key = Some((Box::<[u8]>::from(found), value));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    drop((stream, running));
    let (key, value) = key.unwrap();
    let later = String::from_utf8(value.to_vec())
        .unwrap()
        .replace(r#""config":{"#, r#""config":{"of_a_later_version":1,"#);
    files.apply(&[Change::SetState { stream: id, key: key.clone(), value: later.into() }]).unwrap();

    let mut running = Running::on(std::sync::Arc::clone(&files));
    assert!(running.engine.stream("S").is_none());
    let problem = running.engine.problem().unwrap();
    assert!(problem.contains("consumer \"C\""), "{problem}");
    // A later stream of its name would take its place.
    let anew = running.api("STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#);
    assert_eq!(refusal(&anew), 10_077, "{anew}");
    drop(running);
    // The version that wrote it finds everything.
    files.apply(&[Change::SetState { stream: id, key, value }]).unwrap();
    let mut running = Running::on(files);
    assert_eq!(running.state()["messages"], 1);
}
