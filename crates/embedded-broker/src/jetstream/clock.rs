//! Time as messages carry it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Nanoseconds since 1970, UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// When a time (nanoseconds since 1970) comes; at once when it is past.
pub(crate) fn instant(time: i64) -> Instant {
    let ahead = u64::try_from(time.saturating_sub(now())).unwrap_or(0);
    // Further than this, whoever waits looks again.
    Instant::now() + Duration::from_nanos(ahead).min(Duration::from_hours(24 * 365))
}

/// RFC 3339 in UTC with the nanoseconds that are there, as nats-server writes it; 0 is its zero time.
pub(crate) fn rfc3339(time: i64) -> String {
    if time == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    Timestamp::from_nanosecond(i128::from(time)).map(|time| time.to_string()).unwrap_or_default()
}

/// Reads RFC 3339. Times outside of what nanoseconds since 1970 can say are bent to the nearest that they can; the
/// zero time is 0.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if text.starts_with("0001-01-01T00:00:00") {
        return Some(0);
    }
    let time: Timestamp = text.parse().ok()?;
    Some(time.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}
