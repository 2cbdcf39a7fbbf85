//! Spaces: sets of blobs that live and die together.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// The name of a set of blobs: 1 to 64 of `A-Z a-z 0-9 _ -`. It is also the name of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(Box<str>);

/// The text cannot name a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a space is named with 1 to 64 letters, digits, `_` or `-`")]
pub struct SpaceError;

/// A blob: its space and its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId {
    /// The set it belongs to.
    pub space: Space,
    /// What its bytes hash to.
    pub digest: Digest,
}

impl Space {
    const MAX: usize = 64;

    /// A blob in this space.
    pub fn blob(&self, digest: Digest) -> BlobId {
        BlobId { space: self.clone(), digest }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Space {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Self, SpaceError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            Err(SpaceError)
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.digest)
    }
}
