//! More requests to the API than can wait.

use std::collections::BTreeSet;

use super::running::{LIMIT_REACHED, Running};
use crate::jetstream::api::{MAX_BYTES, MAX_REQUESTS};

/// Sends so many requests of a size, while all of them have to wait; answers how many are answered, and how many were said
/// to be dropped.
fn answered(count: usize, size: usize) -> (usize, u64) {
    let mut running = Running::new();
    running.stream("");
    running.files.hold();
    let published = running.send("s.a", &[], "x");
    running.files.until_waiting();
    let body = " ".repeat(size);
    let asked: BTreeSet<_> = (0..count).map(|_| running.send("$JS.API.INFO", &[], &body)).collect();
    running.files.release();
    assert_eq!(running.answer(&published)["seq"], 1);
    let (mut answers, mut dropped) = (0, 0);
    while answers + usize::try_from(dropped).unwrap() < count {
        let (to, answer) = running.answered(1).remove(0);
        if to == LIMIT_REACHED {
            dropped += answer["dropped"].as_u64().unwrap();
        } else {
            assert!(asked.contains(&to), "{to}");
            answers += 1;
        }
    }
    // It goes on as if nothing had been.
    assert_eq!(running.state()["messages"], 1);
    (answers, dropped)
}

#[test]
fn requests_beyond_the_number_that_may_wait_are_dropped_and_counted() {
    assert_eq!(answered(MAX_REQUESTS + 7, 0), (MAX_REQUESTS, 7));
}

#[test]
fn requests_beyond_the_bytes_that_may_wait_are_dropped_and_counted() {
    let fit = 4;
    assert_eq!(answered(fit + 2, MAX_BYTES / (fit + 1)), (fit, 2));
}
