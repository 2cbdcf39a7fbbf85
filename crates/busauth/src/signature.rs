//! Ed25519 signatures and their text.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;

use crate::text_form::serde_as_text;

/// Characters of a signature in unpadded base64url.
const TEXT_CHARS: usize = 86;
/// Characters of a signature in padded standard base64.
const STANDARD_CHARS: usize = 88;

/// An Ed25519 signature (RFC 8032), 64 bytes.
///
/// Text form: base64url without padding, 86 characters, strict (no spare bits).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

/// The signature does not belong to this message and this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match the message and the key")]
pub struct BadSignature;

/// The text is not 64 bytes of base64url without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature is {TEXT_CHARS} characters of base64url without padding")]
pub struct SignatureTextError;

impl Signature {
    /// Reads `sig` of a NATS CONNECT: base64url without padding, or standard base64 as older
    /// clients send it (nats-server accepts both).
    pub fn from_connect(text: &str) -> Result<Self, SignatureTextError> {
        if text.len() == STANDARD_CHARS {
            return decode(&STANDARD, text);
        }
        text.parse()
    }

    pub(crate) fn verify_with(&self, key: &[u8; 32], message: &[u8]) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        key.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

fn decode(engine: &impl base64::Engine, text: &str) -> Result<Signature, SignatureTextError> {
    let bytes = engine.decode(text).map_err(|_| SignatureTextError)?;
    bytes.try_into().map(Signature).map_err(|_| SignatureTextError)
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signature {
    type Err = SignatureTextError;

    fn from_str(text: &str) -> Result<Self, SignatureTextError> {
        if text.len() != TEXT_CHARS {
            return Err(SignatureTextError);
        }
        decode(&URL_SAFE_NO_PAD, text)
    }
}

serde_as_text!(Signature, "a signature (base64url, 86 characters)");
