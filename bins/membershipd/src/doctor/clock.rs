//! Whether the time can be right: requests and certificates are judged by it.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;
use crate::config::Config;
use crate::expiry::day;

/// No machine that runs this program is before this time: 2026-01-01.
const EARLIEST: Duration = Duration::from_hours(490_896);
/// What was written in the future was written before the clock went back. Requests are refused when clocks are this far apart.
const FUTURE: Duration = Duration::from_mins(1);

pub(super) fn look(config: &Config) -> Finding {
    let now = SystemTime::now();
    if now < UNIX_EPOCH + EARLIEST {
        let text = format!("it is {} by this machine's clock: set it, and keep it right with NTP", day(now));
        return Finding::failed("clock", text);
    }
    let written = [config.paths.db().to_owned(), config.paths.lock(), config.streams.directory.clone()]
        .iter()
        .filter_map(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
        .max();
    match written.and_then(|written| written.duration_since(now).ok()).filter(|ahead| *ahead > FUTURE) {
        Some(ahead) => Finding::failed(
            "clock",
            format!(
                "the data of this bus was written {} s in the future: the clock has gone back; set it, and keep it \
                 right with NTP",
                ahead.as_secs()
            ),
        ),
        None => Finding::ok(
            "clock",
            "plausible; clients and other nodes may be 60 s apart, so keep it right with NTP",
        ),
    }
}
