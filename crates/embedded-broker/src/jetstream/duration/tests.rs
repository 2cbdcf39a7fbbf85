//! Durations as Go writes them.

use super::parse;

#[test]
fn what_go_writes_is_read() {
    let second = 1_000_000_000;
    for (text, nanoseconds) in [
        ("0", 0),
        ("1s", second),
        ("1.5s", 3 * second / 2),
        ("300ms", 300_000_000),
        ("1h2m3s", 3723 * second),
        ("-2m", -120 * second),
        (".5s", second / 2),
        ("2us", 2_000),
        ("2µs", 2_000),
    ] {
        assert_eq!(parse(text), Some(nanoseconds), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in ["", "1", "s", "1x", "1s2", ".s", "1..5s", "--1s", "99999999999999999999h", "9999999999h"] {
        assert_eq!(parse(text), None, "{text}");
    }
}
