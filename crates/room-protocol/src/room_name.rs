//! What people call a room.

use std::{fmt, str::FromStr, sync::Arc};

use crate::encoding::serde_as_text;

const MAX_BYTES: usize = 128;

/// A room's name: 1–128 bytes of UTF-8 without control or invisible characters, with no space at either end.
///
/// Names are pinned to room ids by each client and are shown in terminals; an invisible or direction-changing
/// character would let one name pass for another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

/// The text cannot be the name of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomNameError {
    /// Empty, or longer than 128 bytes.
    #[error("a room's name has 1 to {MAX_BYTES} bytes")]
    Length,
    /// A control, zero-width or direction-changing character.
    #[error("a room's name holds no control or invisible characters")]
    Invisible,
    /// White space at the beginning or the end.
    #[error("a room's name neither starts nor ends with a space")]
    OuterSpace,
}

impl RoomName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(text: &str) -> Result<Self, RoomNameError> {
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(RoomNameError::Length);
        }
        if text.chars().any(is_invisible) {
            return Err(RoomNameError::Invisible);
        }
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            return Err(RoomNameError::OuterSpace);
        }
        Ok(Self(text.into()))
    }
}

/// Control characters, line and paragraph separators, soft hyphen, zero-width characters, direction marks,
/// overrides and isolates, byte-order mark, interlinear marks, tags. The list is part of the protocol and
/// spelled out in its documentation.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

serde_as_text!(RoomName);
