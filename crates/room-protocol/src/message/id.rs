//! The id of a message: a UUID of version 7, which also says when the message was made.

use std::{fmt, str::FromStr};

use uuid::{Builder, Uuid, Variant, Version};

use crate::encoding::serde_as_text;

/// A message's id, unique per sender. Ordered by time. Text: a lower-case hyphenated UUID of version 7 (RFC
/// 9562).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

/// The text is not the id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: a lower-case UUIDv7 is expected")]
pub struct MessageIdError;

impl MessageId {
    /// The id of a message made at `now` (Unix milliseconds).
    pub fn new(now: u64, random: [u8; 10]) -> Self {
        Self(Builder::from_unix_timestamp_millis(now, &random).into_uuid())
    }

    /// When the message says it was made: Unix milliseconds.
    pub fn timestamp_ms(&self) -> u64 {
        let mut milliseconds = [0; 8];
        milliseconds[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        u64::from_be_bytes(milliseconds)
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let uuid = Uuid::try_parse(text).map_err(|_| MessageIdError)?;
        let canonical = uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        let version = uuid.get_version() == Some(Version::SortRand) && uuid.get_variant() == Variant::RFC4122;
        if canonical && version { Ok(Self(uuid)) } else { Err(MessageIdError) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(MessageId);
