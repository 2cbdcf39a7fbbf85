//! The secret that nodes log in to each other with, and the three places it may come from.

use std::{fmt, path::Path, str::FromStr};

use zeroize::Zeroizing;

use crate::{
    names::RouteUser,
    owner_only::{self, FileError},
};

/// Below this a secret can be guessed over the network.
const MIN_CHARS: usize = 16;
/// Above this it is most likely another file.
const MAX_CHARS: usize = 256;

/// The secret. Wiped on drop, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteSecret(Zeroizing<String>);

/// User and secret, which belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLogin {
    /// The user.
    pub user: RouteUser,
    /// The secret.
    pub secret: RouteSecret,
}

/// Where a secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file that only its owner may read.
    File,
    /// In a variable of the environment.
    Environment,
    /// On the command line, where every user of the machine can see it.
    Flag,
}

/// Everything that may name the secret. What is left out is `None`.
#[derive(Clone, Copy, Default)]
pub struct SecretPlaces<'a> {
    /// A file.
    pub file: Option<&'a Path>,
    /// The value of the variable. One that is set to nothing counts as not set.
    pub environment: Option<&'a str>,
    /// The value on the command line.
    pub flag: Option<&'a str>,
}

/// The text cannot be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a route secret is {MIN_CHARS} to {MAX_CHARS} of the characters a-z, A-Z, 0-9, -, _, . and ~; `openssl rand -hex 32` makes one"
)]
pub struct SecretTextError;

/// Why there is no secret to use.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file that was named cannot be used. Nothing else is tried: whoever names a file means it.
    #[error("the route secret: {0}")]
    File(#[from] FileError),
    /// What was found is not a secret.
    #[error("the route secret from {origin} cannot be used: {problem}")]
    Text {
        /// Where it was found.
        origin: SecretSource,
        /// What is wrong with it.
        problem: SecretTextError,
    },
}

impl RouteSecret {
    /// Takes the secret from the first of file, environment and flag that is set; `None` when none is.
    pub fn resolve(places: SecretPlaces<'_>) -> Result<Option<(Self, SecretSource)>, SecretError> {
        let (text, origin) = if let Some(path) = places.file {
            (owner_only::read_secret(path)?, SecretSource::File)
        } else if let Some(value) = places.environment.filter(|value| !value.is_empty()) {
            (Zeroizing::new(value.to_owned()), SecretSource::Environment)
        } else if let Some(value) = places.flag {
            (Zeroizing::new(value.to_owned()), SecretSource::Flag)
        } else {
            return Ok(None);
        };
        // Editors and `echo` end files with a line break.
        let text = text.trim_end_matches(['\r', '\n']);
        let secret = text.parse().map_err(|problem| SecretError::Text { origin, problem })?;
        Ok(Some((secret, origin)))
    }

    /// The secret itself. Named so that every place that takes it out can be found.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RouteSecret {
    type Err = SecretTextError;

    fn from_str(text: &str) -> Result<Self, SecretTextError> {
        // These characters stand for themselves in URLs and in nats-server's configuration, whatever their order.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if (MIN_CHARS..=MAX_CHARS).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(SecretTextError)
        }
    }
}

impl fmt::Debug for RouteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteSecret(…)")
    }
}

impl fmt::Debug for SecretPlaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretPlaces").field("file", &self.file).finish_non_exhaustive()
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Environment => "the environment",
            Self::Flag => "the command line",
        })
    }
}

#[cfg(test)]
mod tests;
