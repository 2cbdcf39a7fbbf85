//! The name of a room that nobody can choose: it is derived from the room's first statement.

use std::{fmt, str::FromStr};

use crate::encoding::{array_from_base32, serde_as_text, sha256, to_base32};

/// A room's id: the first 16 bytes of the SHA-256 of its `create` JWS, as 26 characters of base32.
///
/// Whoever is given a room id can check the first entry of the log against it, so a server cannot put another
/// room in its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId([u8; 16]);

/// The text is not a room id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a room id: 26 characters of upper-case base32 are expected")]
pub struct RoomIdError;

impl RoomId {
    /// The id of the room whose log starts with this compact JWS.
    pub(crate) fn of_first_entry(jws: &str) -> Self {
        let digest = sha256(jws.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The 16 bytes behind the text form.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for RoomId {
    type Err = RoomIdError;

    fn from_str(text: &str) -> Result<Self, RoomIdError> {
        array_from_base32(text).map(Self).ok_or(RoomIdError)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base32(&self.0))
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(RoomId);
