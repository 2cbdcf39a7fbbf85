//! The key that logs in to the data plane.

use std::fmt;
use std::str::FromStr;

use super::{KeyError, Kind, decode_public, encode_public, field};
use crate::signature::{BadSignature, Signature};
use crate::text_form::serde_as_text;

/// The public half of the key with which a user answers a NATS server's nonce, and nothing else.
///
/// A server chooses the nonce and the client signs it blindly, so whatever this key has signed
/// proves nothing but a login. Text form: nkey `U…`, 56 characters, as NATS expects it in `nkey`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginKey([u8; 32]);

/// Why somebody is not who a login says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// What was presented as a key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The nonce was not signed with this key.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl LoginKey {
    /// Takes a public key from its 32 bytes (RFC 8032 encoding).
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        field::ed25519(&bytes)?;
        Ok(Self(bytes))
    }

    /// Reads the `nkey` of a CONNECT and checks its answer to a nonce. The same as parsing the key and
    /// [`LoginKey::verify_nonce`], in less time: the point on the curve is worked out once.
    pub fn log_in(nkey: &str, nonce: &str, signature: &Signature) -> Result<Self, LoginRefused> {
        let bytes = decode_public(Kind::User, nkey)?;
        let key = field::ed25519(&bytes)?;
        signature.verify_by(&key, nonce.as_bytes())?;
        Ok(Self(bytes))
    }

    /// The public key's 32 bytes (RFC 8032 encoding).
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks the answer to a nonce: a signature of the nonce's text as the server sent it.
    ///
    /// Read the `sig` member of CONNECT with [`Signature::from_connect`].
    pub fn verify_nonce(&self, nonce: &str, signature: &Signature) -> Result<(), BadSignature> {
        signature.verify_with(&self.0, nonce.as_bytes())
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_public(Kind::User, &self.0))
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LoginKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(decode_public(Kind::User, text)?)
    }
}

serde_as_text!(LoginKey, "a login key (U…, 56 characters)");
