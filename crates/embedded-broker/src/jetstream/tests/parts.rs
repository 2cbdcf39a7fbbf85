//! Parts without a store: lives of messages, ids, turns.

use crate::jetstream::{dedupe::Dedupe, scheduler::Turn, stream_config::StreamConfig, ttl::Ttl};

const SECOND: i64 = 1_000_000_000;

#[test]
fn lives_that_can_be_asked_for() {
    for (text, ttl) in [
        ("1", Some(Ttl::After(SECOND))),
        ("90", Some(Ttl::After(90 * SECOND))),
        ("1s", Some(Ttl::After(SECOND))),
        ("1.9s", Some(Ttl::After(SECOND))),
        ("1h1m", Some(Ttl::After(3660 * SECOND))),
        ("never", Some(Ttl::Never)),
        ("Never", Some(Ttl::Never)),
        ("0", None),
        ("999ms", None),
        ("-1", None),
        ("-1s", None),
        ("", None),
        ("forever", None),
        ("9223372036854775807", None),
    ] {
        assert_eq!(Ttl::parse(text), ttl, "{text:?}");
    }
}

#[test]
fn lives_reach_to_the_marker() {
    let config = |marker, per_subject| StreamConfig {
        subject_delete_marker_ttl: marker,
        max_msgs_per_subject: per_subject,
        ..StreamConfig::default()
    };
    let ttl = Ttl::After(5 * SECOND);
    assert_eq!(ttl.life(&config(0, -1)), Some(5 * SECOND));
    assert_eq!(ttl.life(&config(9 * SECOND, -1)), Some(9 * SECOND));
    assert_eq!(ttl.life(&config(9 * SECOND, 1)), Some(5 * SECOND));
    assert_eq!(Ttl::Never.life(&config(9 * SECOND, -1)), None);
}

#[test]
fn ids_are_seen_within_the_window() {
    let mut dedupe = Dedupe::default();
    dedupe.add("a", 1, 100);
    dedupe.add("b", 2, 150);
    assert_eq!(dedupe.find("a", 200, 100), Some(1), "the last moment");
    assert_eq!(dedupe.find("a", 201, 100), None);
    assert_eq!(dedupe.find("b", 201, 100), Some(2));
    // Seen again: it counts from then on.
    dedupe.add("a", 3, 201);
    assert_eq!(dedupe.find("a", 260, 100), Some(3));
    assert_eq!(dedupe.find("b", 260, 100), None);
}

#[test]
fn an_id_that_is_used_again_outlives_its_first_use() {
    let mut dedupe = Dedupe::default();
    dedupe.add("a", 1, 100);
    dedupe.add("a", 2, 190);
    assert_eq!(dedupe.find("a", 210, 100), Some(2));
}

#[test]
fn turns_are_queued_once_and_never_lost() {
    let turn = Turn::default();
    assert!(turn.woken(), "it has to be queued");
    assert!(!turn.woken(), "it is queued already");
    turn.begins();
    assert!(!turn.woken(), "it runs");
    assert!(!turn.woken());
    assert!(turn.ends(), "it was woken while it ran");
    turn.begins();
    assert!(!turn.ends());
    assert!(turn.woken());
}
