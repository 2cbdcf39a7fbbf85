//! The random value that makes every signed request different.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const TEXT_CHARS: usize = 22;

/// 128 random bits. Text form: base64url without padding, 22 characters, strict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpNonce([u8; 16]);

/// The text is not 16 bytes of base64url without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 16 random bytes as {TEXT_CHARS} characters of base64url without padding")]
pub struct HttpNonceError;

impl HttpNonce {
    /// A new nonce from the operating system's randomness.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        Self(bytes)
    }

    /// The nonce that has these bytes; they must come from a cryptographic random generator.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The nonce's 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for HttpNonce {
    type Err = HttpNonceError;

    fn from_str(text: &str) -> Result<Self, HttpNonceError> {
        if text.len() != TEXT_CHARS {
            return Err(HttpNonceError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| HttpNonceError)?;
        bytes.try_into().map(Self).map_err(|_| HttpNonceError)
    }
}

impl fmt::Display for HttpNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for HttpNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
