//! The id of a user: an Ed25519 signing key.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;

use super::{KeyCache, KeyError, Kind, decode_public, encode_public, field};
use crate::signature::{BadSignature, Signature};
use crate::text_form::serde_as_text;

/// A user's id, which *is* the public key that everything the user signs is verified with.
///
/// Text form: nkey `U…`, 56 characters. It is not the key that logs in to the data plane; that
/// one is a [`LoginKey`](crate::LoginKey) and looks the same, which is why the types differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId([u8; 32]);

impl UserId {
    /// Takes a public key from its 32 bytes (RFC 8032 encoding).
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        field::ed25519(&bytes)?;
        Ok(Self(bytes))
    }

    /// Reads the text of an id, with the key worked out for verifying: from the cache, if it has it.
    pub(crate) fn read(text: &str, known: Option<&KeyCache>) -> Result<(Self, VerifyingKey), KeyError> {
        let id = Self(decode_public(Kind::User, text)?);
        let key = known.and_then(|known| known.get(&id)).map_or_else(|| field::ed25519(&id.0), Ok)?;
        Ok((id, key))
    }

    /// The public key's 32 bytes (RFC 8032 encoding).
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that this user signed exactly `message`.
    ///
    /// Strict: a signature has one accepted encoding, and no key of small order verifies.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        signature.verify_with(&self.0, message)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_public(Kind::User, &self.0))
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for UserId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(decode_public(Kind::User, text)?)
    }
}

serde_as_text!(UserId, "a user id (U…, 56 characters)");
