//! When certificates expire, and from when on that is said.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, tz::TimeZone};

/// So long before its end a certificate is warned of, in the log, by `/healthz` and by `membershipd cluster status`.
const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);

/// Whether it ends so soon that somebody has to be told.
pub(crate) fn is_soon(expires: SystemTime) -> bool {
    expires < SystemTime::now() + WARN_BEFORE
}

/// The day, for people.
pub(crate) fn day(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .map_or_else(|_| "an unknown day".to_owned(), |time| time.to_zoned(TimeZone::UTC).date().to_string())
}

/// What is said of a certificate that ends soon.
pub(crate) fn warning(what: &str, expires: SystemTime) -> Option<String> {
    let ends = if expires < SystemTime::now() { "has expired" } else { "expires" };
    is_soon(expires).then(|| format!("{what} {ends} on {}: renew it", day(expires)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_two_weeks_before_its_end() {
        let now = SystemTime::now();
        let day = Duration::from_hours(24);
        assert_eq!(warning("it", now + 15 * day), None);
        assert!(warning("it", now + 13 * day).unwrap().starts_with("it expires on 2"));
        assert!(warning("it", now - day).unwrap().starts_with("it has expired on 2"));
    }
}
