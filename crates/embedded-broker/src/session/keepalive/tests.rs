//! PINGs and giving up, with time as a number.

use super::*;

const INTERVAL: Duration = Duration::from_mins(1);

#[test]
fn the_first_ping_comes_early_and_whatever_the_client_did() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(INTERVAL, 2, start);
    assert_eq!(keepalive.next(), start + FIRST_PING);
    keepalive.input(start + Duration::from_secs(1));
    assert_eq!(keepalive.due(start + Duration::from_secs(1)), Due::Nothing);
    assert_eq!(keepalive.due(start + FIRST_PING), Due::Ping);
    assert_eq!(keepalive.pong(), Some(start + FIRST_PING));
    assert_eq!(keepalive.pong(), None, "a PONG nobody asked for");
}

#[test]
fn a_busy_client_is_not_asked() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(INTERVAL, 2, start);
    assert_eq!(keepalive.due(keepalive.next()), Due::Ping);
    assert!(keepalive.pong().is_some());
    let tick = keepalive.next();
    keepalive.input(start + FIRST_PING + Duration::from_secs(1));
    assert_eq!(keepalive.due(tick), Due::Nothing);
    assert_eq!(keepalive.due(keepalive.next()), Due::Ping, "quiet since");
}

#[test]
fn unanswered_pings_end_it() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(INTERVAL, 2, start);
    assert_eq!(keepalive.due(keepalive.next()), Due::Ping);
    // Publishing is no answer to a PING.
    keepalive.input(keepalive.next());
    assert_eq!(keepalive.due(keepalive.next()), Due::Ping);
    assert_eq!(keepalive.due(keepalive.next()), Due::Stale);
}
