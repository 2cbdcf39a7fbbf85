//! The name that people call a user by.

use std::fmt;
use std::str::FromStr;

use crate::text_form::serde_as_text;

const MIN_CHARS: usize = 2;
const MAX_CHARS: usize = 32;

/// A user's handle: `[a-z0-9][a-z0-9-]{1,31}`.
///
/// A bus gives a handle to one user and never again to another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

/// The text is not a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a handle is {MIN_CHARS} to {MAX_CHARS} characters of a-z, 0-9 and -, and does not start with -")]
pub struct HandleError;

impl Handle {
    /// The handle's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = HandleError;

    fn from_str(text: &str) -> Result<Self, HandleError> {
        let well_formed = (MIN_CHARS..=MAX_CHARS).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if well_formed { Ok(Self(text.to_owned())) } else { Err(HandleError) }
    }
}

impl AsRef<str> for Handle {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

serde_as_text!(Handle, "a handle (a-z, 0-9 and -, 2 to 32 characters)");
