//! The key that secrets are sealed to.

use std::fmt;
use std::str::FromStr;

use super::{KeyError, Kind, decode_public, encode_public, field};
use crate::text_form::serde_as_text;

/// The public X25519 key that room keys are sealed to.
///
/// Text form: nkey of the curve kind, `X…`, 56 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeKey([u8; 32]);

impl ExchangeKey {
    /// Takes a public key from its 32 bytes (RFC 7748 u-coordinate).
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        field::x25519(&bytes)?;
        Ok(Self(bytes))
    }

    /// The public key's 32 bytes (RFC 7748 u-coordinate).
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ExchangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_public(Kind::Curve, &self.0))
    }
}

impl fmt::Debug for ExchangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ExchangeKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(decode_public(Kind::Curve, text)?)
    }
}

serde_as_text!(ExchangeKey, "an exchange key (X…, 56 characters)");
