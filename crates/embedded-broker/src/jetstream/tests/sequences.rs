//! A sequence is never used again, whatever is asked.

use serde_json::json;

use super::{
    running::{Running, refusal},
    store::Mood,
};

#[test]
fn sequences_do_not_wrap() {
    let mut running = Running::new();
    let too_large = r#"{"name":"S","subjects":["s.>"],"first_seq":9223372036854775808}"#;
    assert_ne!(refusal(&running.api("STREAM.CREATE.S", too_large)), 0);
    running.stream("");
    assert_ne!(refusal(&running.api("STREAM.PURGE.S", r#"{"seq":18446744073709551615}"#)), 0);
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    // The last message there can be.
    assert_eq!(running.api("STREAM.PURGE.S", r#"{"seq":9223372036854775807}"#)["purged"], 1);
    assert_eq!(running.ask("s.a", "2")["seq"], json!(i64::MAX));
    for _ in 0..2 {
        assert_ne!(refusal(&running.ask("s.a", "3")), 0);
    }
    let state = running.state();
    assert_eq!((&state["messages"], &state["last_seq"]), (&json!(1), &json!(i64::MAX)));
}

#[test]
fn a_purge_beyond_the_end_holds_when_the_group_before_it_fails() {
    for mood in [Mood::Failing, Mood::Full] {
        let mut running = Running::new();
        let stream = running.stream("");
        for seq in 1..=10 {
            assert_eq!(running.ask("s.a", "x")["seq"], seq);
        }
        running.files.hold();
        let failing = running.send("s.a", &[], "11");
        running.files.until_waiting();
        // Straight to the stream: the API waits until everything before is stored.
        let purge = crate::jetstream::commit::Purge {
            filter: crate::jetstream::stream::Filters::everything(),
            bound: crate::jetstream::commit::PurgeBound::Before(101),
        };
        let (done, purged) = std::sync::mpsc::channel();
        let of = std::sync::Arc::clone(&stream);
        stream.purge(purge, move |result, _| {
            drop(of);
            done.send(result).unwrap();
        });
        running.set(mood);
        let files = std::sync::Arc::clone(&running.files);
        files.release();
        assert_ne!(refusal(&running.answer(&failing)), 0);
        let purged = purged.recv().unwrap();
        running.set(Mood::Well);
        let next = running.ask("s.a", "x")["seq"].as_u64().unwrap();
        let last = running.state()["last_seq"].as_u64().unwrap();
        assert_eq!(next, last, "{mood:?}");
        // The purge itself may have met the failure.
        assert_eq!(next, if purged.is_ok() { 101 } else { 11 }, "{mood:?}");
    }
}

#[test]
fn what_is_taken_between_a_failure_and_a_purge_beyond_the_end_is_behind_it() {
    let mut running = Running::new();
    let stream = running.stream("");
    assert_eq!(running.ask("s.a", "x")["seq"], 1);
    {
        let mut state = stream.state.lock();
        state.promise(100);
    }
    // As a purge does that is queued and has yet to be done.
    running.set(Mood::Failing);
    assert_ne!(refusal(&running.ask("s.a", "x")), 0);
    running.set(Mood::Well);
    assert_eq!(running.ask("s.a", "x")["seq"], 101);
    stream.state.lock().redeem(100);
    running.set(Mood::Failing);
    assert_ne!(refusal(&running.ask("s.a", "x")), 0);
    running.set(Mood::Well);
    assert_eq!(running.ask("s.a", "x")["seq"], 102);
}
