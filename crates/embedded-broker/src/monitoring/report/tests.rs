//! What can be asked, and how times are written.

use std::time::{Duration, SystemTime};

use super::{Jsz, Page, Slice, round_trip, time, uptime};

#[test]
fn pages_and_their_parameters() {
    assert_eq!(Page::parse("/varz", ""), Ok(Some(Page::Varz)));
    let page = Page::Connz(Slice { offset: 20, limit: 10, auth: true });
    assert_eq!(Page::parse("/connz", "limit=10&offset=20&auth=1"), Ok(Some(page)));
    assert_eq!(Page::parse("/jsz", ""), Ok(Some(Page::Jsz(Jsz::default()))));
    assert!(Page::parse("/jsz", "streams=true&consumers=1&config=0&acc=$G&limit=5&offset=0").is_ok());
    assert_eq!(Page::parse("/accountz", ""), Ok(None));
    for (path, query) in [
        ("/connz", "limit=-1"),
        ("/connz", "limit"),
        ("/connz", "subs=1"),
        ("/connz", "state=closed"),
        ("/varz", "limit=1"),
        ("/jsz", "streams=x"),
        ("/jsz", "raft=true"),
        ("/healthz", "streams=1"),
    ] {
        assert!(Page::parse(path, query).is_err(), "{path}?{query}");
    }
}

#[test]
fn times_as_nats_server_writes_them() {
    let start = SystemTime::UNIX_EPOCH;
    for (seconds, text) in [
        (0, "0s"),
        (59, "59s"),
        (61, "1m1s"),
        (3_600, "1h0m0s"),
        (90_061, "1d1h1m1s"),
        (31_536_000, "1y0d0h0m0s"),
    ] {
        assert_eq!(uptime(start, start + Duration::from_secs(seconds)), text);
    }
    for (micros, text) in [(514, "514µs"), (1_234, "1.234ms"), (2_500_000, "2.5s")] {
        assert_eq!(round_trip(Duration::from_micros(micros)), text);
    }
    assert_eq!(time(start + Duration::from_millis(1_500)), "1970-01-01T00:00:01.5Z");
}
