//! Which nats-servers are fit for a cluster.

use std::{fmt, str::FromStr};

/// The version of a nats-server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// The text holds no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no version in the form 1.2.3")]
pub struct VersionError;

impl ServerVersion {
    /// Older ones check neither accounts of requests as they should (CVE-2025-30215) nor know message expiry.
    pub const OLDEST: Self = Self { major: 2, minor: 11, patch: 1 };

    /// What this crate was tried with for longer than the oldest.
    const RECOMMENDED: Self = Self { major: 2, minor: 12, patch: 0 };

    /// Whether it is as new as it should be.
    pub fn is_recommended(self) -> bool {
        self >= Self::RECOMMENDED
    }

    /// Whether it may be used.
    pub fn is_supported(self) -> bool {
        self >= Self::OLDEST
    }
}

/// `2.15.1`, `v2.15.1`, `nats-server: v2.15.1`, also with a suffix such as `-RC.1`, which counts as older than the same
/// version without: no release candidate is as good as what it becomes.
impl FromStr for ServerVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = text.trim();
        let text = text.rsplit_once(": ").map_or(text, |(_, version)| version);
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.splitn(3, '.');
        let mut number = || parts.next().ok_or(VersionError);
        let (major, minor, rest) = (number()?, number()?, number()?);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (patch, suffix) = rest.split_at(digits);
        let parse = |text: &str| text.parse::<u32>().map_err(|_| VersionError);
        let (major, minor, patch) = (parse(major)?, parse(minor)?, parse(patch)?);
        if suffix.is_empty() {
            return Ok(Self { major, minor, patch });
        }
        if !suffix.starts_with(['-', '+']) {
            return Err(VersionError);
        }
        match (suffix.starts_with('-'), patch.checked_sub(1)) {
            (true, Some(patch)) => Ok(Self { major, minor, patch }),
            (true, None) => Ok(Self { major, minor: minor.saturating_sub(1), patch: u32::MAX }),
            (false, _) => Ok(Self { major, minor, patch }),
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests;
