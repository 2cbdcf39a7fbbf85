//! Ed25519 signatures and their text.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Verifier as _, VerifyingKey};

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
        self.verify_by(&VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?, message)
    }

    /// [`Signature::verify_with`] for a key that was decoded before.
    ///
    /// Accepts what `VerifyingKey::verify_strict` accepts, in less time. That one decodes the signature's first half
    /// to ask one question, whether the point is of small order; but a half that verifies is byte by byte the encoding
    /// that was computed for it, so the question can be asked of the bytes.
    pub(crate) fn verify_by(&self, key: &VerifyingKey, message: &[u8]) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        if key.is_weak() || SMALL_ORDER.contains(signature.r_bytes()) {
            return Err(BadSignature);
        }
        key.verify(message, &signature).map_err(|_| BadSignature)
    }
}

/// The encodings of the eight points of small order on edwards25519.
const SMALL_ORDER: [[u8; 32]; 8] = {
    let zero = [0; 32];
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [one, minus_one, zero, negated(zero), ORDER_8[0], negated(ORDER_8[0]), ORDER_8[1], negated(ORDER_8[1])]
};

/// Two points of order 8; the other two are their negatives.
const ORDER_8: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// The encoding of a point's negative: the sign of the other coordinate is the topmost bit.
const fn negated(mut point: [u8; 32]) -> [u8; 32] {
    point[31] ^= 0x80;
    point
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

#[cfg(test)]
mod tests;
