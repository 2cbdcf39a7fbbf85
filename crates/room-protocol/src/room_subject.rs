//! The subject a room lives on.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{encoding::serde_as_text, room_id::RoomId};

const MAX_TOKENS: usize = 8;
const MAX_TOKEN_BYTES: usize = 32;
const MAX_BYTES: usize = 128;
/// The first token of everything the bus itself says. A room that lived there could speak for the bus.
const RESERVED: &str = "unibus";

/// A room's subject: 1–8 tokens of `[A-Za-z0-9_-]{1,32}`, at most 128 bytes, starting with a letter and not
/// with `unibus`.
///
/// A room on `lab.sensors` covers `lab.sensors` and everything below it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomSubject(Arc<str>);

/// The text is not the subject of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomSubjectError {
    /// Longer than 128 bytes.
    #[error("a room's subject has at most {MAX_BYTES} bytes")]
    TooLong,
    /// More than 8 tokens.
    #[error("a room's subject has at most {MAX_TOKENS} tokens")]
    TooManyTokens,
    /// An empty token, one longer than 32 bytes, or one with another character.
    #[error("each token of a room's subject has 1 to {MAX_TOKEN_BYTES} characters of A-Z a-z 0-9 _ -")]
    BadToken,
    /// The subject starts with a digit or a sign.
    #[error("a room's subject starts with a letter")]
    FirstCharacter,
    /// The first token is `unibus`, in whatever case.
    #[error("subjects below `{RESERVED}` belong to the bus itself")]
    Reserved,
}

impl RoomSubject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens between the dots.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether one of the two is a prefix of the other, token by token and without regard to case.
    ///
    /// Two rooms of one bus never overlap. Case is ignored so that nobody can place a look-alike beside a
    /// room.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.tokens().zip(other.tokens()).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// Whether a message on `subject` is a message of this room: the subject itself or below it,
    /// case-sensitive as on the wire.
    pub fn covers(&self, subject: &str) -> bool {
        match subject.strip_prefix(&*self.0) {
            Some("") => true,
            Some(below) => {
                below.strip_prefix('.').is_some_and(|tokens| tokens.split('.').all(is_literal_token))
            }
            None => false,
        }
    }
}

fn is_literal_token(token: &str) -> bool {
    !token.is_empty() && !token.contains(['*', '>', ' ']) && !token.chars().any(char::is_control)
}

impl FromStr for RoomSubject {
    type Err = RoomSubjectError;

    fn from_str(text: &str) -> Result<Self, RoomSubjectError> {
        if text.len() > MAX_BYTES {
            return Err(RoomSubjectError::TooLong);
        }
        if text.split('.').count() > MAX_TOKENS {
            return Err(RoomSubjectError::TooManyTokens);
        }
        if !text.split('.').all(is_room_token) {
            return Err(RoomSubjectError::BadToken);
        }
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(RoomSubjectError::FirstCharacter);
        }
        if text.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(RESERVED)) {
            return Err(RoomSubjectError::Reserved);
        }
        Ok(Self(text.into()))
    }
}

fn is_room_token(token: &str) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl fmt::Display for RoomSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(RoomSubject);

/// A fresh subject for replies inside a room: `unibus.reply.<room id>.<26 characters from these random
/// bytes>`.
///
/// Members of the room may publish and subscribe there; nothing on it is stored.
pub fn reply_subject(room: &RoomId, random: [u8; 16]) -> String {
    format!("unibus.reply.{room}.{}", crate::encoding::to_base32(&random))
}

/// Whether `subject` is a reply subject of this room. Any other reply subject is ignored, so that nobody can
/// make a member publish to a place of the sender's choosing.
pub fn is_reply_subject(room: &RoomId, subject: &str) -> bool {
    subject
        .strip_prefix("unibus.reply.")
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(id, token)| id.parse() == Ok(*room) && token.len() <= 64 && is_reply_token(token))
}

fn is_reply_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
