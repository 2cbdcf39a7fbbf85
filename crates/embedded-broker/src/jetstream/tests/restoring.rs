//! What a group leaves that could not be written: it is read back, and shows and counts when it is durable.

use serde_json::json;

use super::{
    running::{Running, refusal},
    store::Mood,
};

const NOT_STORED: u64 = 10077;

const ID: [(&str, &str); 1] = [("Nats-Msg-Id", "x")];

#[test]
fn what_a_failed_sync_left_is_acknowledged_after_a_sync_only() {
    let mut running = Running::new();
    running.stream("");
    running.set(Mood::Unsynced);
    let first = running.send("s.a", &ID, "1");
    assert_eq!(refusal(&running.answer(&first)), NOT_STORED);
    let again = running.send("s.a", &ID, "1");
    assert_eq!(
        refusal(&running.answer(&again)),
        NOT_STORED,
        "it is there, and a power failure could take it back"
    );
    assert_eq!(running.state()["messages"], 0, "it does not show either");
    running.set(Mood::Well);
    let syncs = running.files.syncs();
    let again = running.send("s.a", &ID, "1");
    let answer = running.answer(&again);
    assert_eq!((&answer["seq"], &answer["duplicate"]), (&json!(1), &json!(true)));
    assert!(running.files.syncs() > syncs);
    assert_eq!(running.state()["messages"], 1);
}

#[test]
fn what_a_failed_sync_left_is_delivered_after_a_sync_only() {
    let mut running = Running::new();
    let stream = running.stream("");
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"none"}}"#;
    assert_eq!(refusal(&running.api("CONSUMER.CREATE.S.C", consumer)), 0);
    running.set(Mood::Unsynced);
    assert_eq!(refusal(&running.ask("s.a", "1")), NOT_STORED);
    assert_eq!(running.api("CONSUMER.INFO.S.C", "")["num_pending"], 0);
    assert_eq!(stream.get(1).unwrap(), None);
    // Nobody publishes: it is tried again all the same, after a while.
    let syncs = running.files.syncs();
    running.set(Mood::Well);
    running.files.until_synced(syncs + 1);
    assert_eq!(running.ask("s.a", "2")["seq"], 2);
    assert_eq!(running.api("CONSUMER.INFO.S.C", "")["num_pending"], 2);
    assert!(stream.get(1).unwrap().is_some());
}

#[test]
fn a_stream_that_cannot_be_read_back_goes_on_when_it_can() {
    let mut running = Running::new();
    running.stream("");
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    assert_eq!(running.engine.problem(), None);
    running.set(Mood::Closed);
    for _ in 0..2 {
        assert_eq!(refusal(&running.ask("s.a", "2")), NOT_STORED);
        let problem = running.engine.problem().unwrap();
        assert!(problem.contains("\"S\" could not be read back"), "{problem}");
    }
    assert_ne!(refusal(&running.api("STREAM.PURGE.S", "")), 0, "nobody knows what it holds");
    running.set(Mood::Well);
    // Whoever asks meanwhile is refused, and the next one is not.
    let answer = running.ask("s.a", "3");
    assert!([0, NOT_STORED].contains(&refusal(&answer)), "{answer}");
    assert_eq!(refusal(&running.ask("s.a", "4")), 0);
    assert_eq!(running.engine.problem(), None);
    assert_eq!(running.ask("s.a", "5")["seq"], running.state()["last_seq"]);
}

#[test]
fn a_stream_that_cannot_be_read_back_is_read_when_nobody_publishes() {
    let mut running = Running::new();
    let stream = running.stream(r#""max_age":100000000,"duplicate_window":100000000"#);
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    running.set(Mood::Closed);
    assert_eq!(refusal(&running.ask("s.a", "2")), NOT_STORED);
    assert!(stream.is_unread());
    running.set(Mood::Well);
    // It is tried again, and what is too old by then is removed.
    while running.state()["messages"] != 0 {
        std::thread::yield_now();
    }
    assert!(!stream.is_unread());
}
