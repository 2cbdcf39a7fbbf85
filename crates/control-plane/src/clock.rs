//! The time of day, read in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    since_epoch().as_secs()
}

/// Milliseconds since 1970, as statements are dated.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    // A clock before 1970 reads as 1970: every signed request is then refused as coming from the future.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
