//! The secret that every membershipd at an external NATS has a copy of: the keys that they use there are made from it.

use std::{fmt, io, path::Path, str::FromStr};

use zeroize::Zeroizing;

use busauth::private_file;

use crate::owner_only::{self, FileError};

/// Below this it can be found by trying: the public keys that are made from it are no secret, so that whoever sees them
/// can try at home.
const MIN_CHARS: usize = 32;
/// Above this it is most likely another file.
const MAX_CHARS: usize = 512;
/// Random bytes in a secret that we make.
const MADE_OF: usize = 32;

/// The secret. Wiped on drop, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSecret(Zeroizing<String>);

/// The text cannot be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a shared secret is {MIN_CHARS} to {MAX_CHARS} printable characters without spaces, chosen at random: `openssl rand -hex 32` makes one"
)]
pub struct SharedSecretTextError;

/// Why there is no secret to use.
#[derive(Debug, thiserror::Error)]
pub enum SharedSecretError {
    /// The file cannot be used.
    #[error("the shared secret: {0}")]
    File(#[from] FileError),
    /// The file could not be made.
    #[error("the shared secret cannot be written to {}: {source}", .path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// What is in the file.
    #[error("{}: {problem}", .path.display())]
    Text {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: SharedSecretTextError,
    },
}

impl SharedSecret {
    /// Reads the secret from a file that only its owner can read.
    pub fn read(path: &Path) -> Result<Self, SharedSecretError> {
        let text = owner_only::read_secret(path)?;
        // Editors and `echo` end files with a line break.
        let text = text.trim_end_matches(['\r', '\n']);
        text.parse().map_err(|problem| SharedSecretError::Text { path: path.to_owned(), problem })
    }

    /// The same; a file that is not there is made first, of mode 0600, with a new secret. `true` when that happened.
    pub fn read_or_make(path: &Path) -> Result<(Self, bool), SharedSecretError> {
        match Self::read(path) {
            Err(SharedSecretError::File(FileError::Read { source, .. }))
                if source.kind() == io::ErrorKind::NotFound => {}
            found => return found.map(|secret| (secret, false)),
        }
        let mut bytes = Zeroizing::new([0; MADE_OF]);
        getrandom::fill(&mut *bytes).map_err(|error| SharedSecretError::Random(error.to_string()))?;
        let hex = |byte: &u8| {
            [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        };
        let mut text = Zeroizing::new(String::with_capacity(2 * MADE_OF + 1));
        text.extend(bytes.iter().flat_map(hex));
        let secret = Self(text.clone());
        text.push('\n');
        write(path, text.as_bytes())
            .map_err(|source| SharedSecretError::Write { path: path.to_owned(), source })?;
        Ok((secret, true))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
        && !directory.exists()
    {
        private_file::make_directory(directory)?;
    }
    private_file::create(path, content)
}

impl FromStr for SharedSecret {
    type Err = SharedSecretTextError;

    fn from_str(text: &str) -> Result<Self, SharedSecretTextError> {
        let fits =
            (MIN_CHARS..=MAX_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(SharedSecretTextError) }
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

#[cfg(test)]
mod tests;
