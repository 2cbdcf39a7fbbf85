//! Where a log stands: the number and the hash of its last entry.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::encoding::{base64url_text, sha256};

/// SHA-256 of a whole compact JWS; the next entry names it as `prev`. Text: 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryHash([u8; 32]);

base64url_text!(EntryHash, EntryHashError, "the hash of a log entry");

impl EntryHash {
    /// The hash of one entry as it stands in the log.
    pub(crate) fn of(jws: &str) -> Self {
        Self(sha256(jws.as_bytes()))
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The number and hash of a log's last entry. Two logs with the same head are the same log.
///
/// Text: `<seq>.<hash>`, the form of the message header `Unibus-Head`; in JSON `{ "seq": …, "hash": … }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of the entry, counted from 1.
    pub seq: u64,
    /// Hash of that entry.
    pub hash: EntryHash,
}

/// The text is not a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log head: `<seq>.<hash>` is expected")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (seq, hash) = text.split_once('.').ok_or(HeadError)?;
        let seq = parse_number(seq).ok_or(HeadError)?;
        Ok(Self { seq, hash: hash.parse().map_err(|_| HeadError)? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.hash)
    }
}

/// The largest number that every JSON implementation reads exactly (2^53 - 1).
pub(crate) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Reads a positive decimal number in its one form: no sign, no leading zero, within 2^53 - 1.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || text.starts_with('0') {
        return None;
    }
    text.parse().ok().filter(|number| *number <= MAX_NUMBER)
}
