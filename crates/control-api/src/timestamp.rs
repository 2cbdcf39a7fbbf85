//! Times in JSON: RFC 3339, UTC, whole seconds.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// 9999-12-30T22:00:00Z: the last second that jiff writes (in every time zone it is still the year 9999).
const LAST_SECOND: u64 = 253_402_207_200;

/// A point in time, in unix seconds inside and RFC 3339 UTC outside (`2026-01-31T08:00:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The text is not an RFC 3339 time since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time in RFC 3339 form, for instance 2026-01-31T08:00:00Z")]
pub struct TimestampError;

impl Timestamp {
    /// A time in seconds since 1970; later than the year 9999 becomes its end.
    pub fn from_unix(seconds: u64) -> Self {
        Self(seconds.min(LAST_SECOND))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> u64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::from_unix(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cannot fail: the constructors keep the value within jiff's range.
        let seconds = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        jiff::Timestamp::from_second(seconds).map_err(|_| fmt::Error)?.fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        u64::try_from(time.as_second()).map(Self::from_unix).map_err(|_| TimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_what_they_print() {
        let time = Timestamp::from_unix(1_769_846_400);
        assert_eq!(time.to_string(), "2026-01-31T08:00:00Z");
        assert_eq!("2026-01-31T08:00:00Z".parse(), Ok(time));
        assert_eq!("2026-01-31T10:00:00+02:00".parse(), Ok(time));
        assert_eq!("1969-12-31T23:59:59Z".parse::<Timestamp>(), Err(TimestampError));
        assert_eq!("soon".parse::<Timestamp>(), Err(TimestampError));
        assert_eq!(Timestamp::from_unix(u64::MAX).to_string(), "9999-12-30T22:00:00Z");
    }
}
