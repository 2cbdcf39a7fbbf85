//! The two text encodings of this protocol and the length-prefixed form of everything that is signed or
//! hashed.
//!
//! Every value has exactly one text form: unpadded base64url (RFC 4648 section 5) and unpadded upper-case
//! base32, both with spare bits that must be zero. A second spelling of the same bytes would give one
//! statement two hashes.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};

/// Encodes bytes as unpadded base64url.
pub(crate) fn to_base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Decodes unpadded base64url; `None` for any spelling but the canonical one.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// Decodes base64url of exactly `N` bytes.
pub(crate) fn array_from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_base64url(text)?.try_into().ok()
}

/// Encodes bytes as unpadded upper-case base32.
pub(crate) fn to_base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes)
}

/// Decodes base32 of exactly `N` bytes; `None` for any spelling but the canonical one.
pub(crate) fn array_from_base32<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE32_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// SHA-256 of one byte string.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What is signed, hashed or bound to a ciphertext: `lp(tag) || lp(field) || …`, numbers as eight big-endian
/// bytes.
///
/// `lp` is a four-byte big-endian length followed by the bytes, so that no two lists of fields have the same
/// form.
#[derive(Clone)]
pub(crate) struct Transcript(Vec<u8>);

impl Transcript {
    pub(crate) fn new(tag: &str) -> Self {
        Self(Vec::with_capacity(256)).field(tag.as_bytes())
    }

    #[must_use]
    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        // Fields are ids, subjects and digests; none comes near four gigabytes.
        let length = u32::try_from(bytes.len()).expect("a field of a transcript is shorter than 4 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    #[must_use]
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Gives a type with `FromStr` and `Display` its serde form: that text.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Gives a 32-byte newtype its canonical base64url text form.
macro_rules! base64url_text {
    ($type:ident, $error:ident, $what:literal) => {
        #[doc = concat!("The text is not ", $what, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("not {}: 43 characters of base64url are expected", $what)]
        pub struct $error;

        impl std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                crate::encoding::array_from_base64url(text).map(Self).ok_or($error)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&crate::encoding::to_base64url(&self.0))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        crate::encoding::serde_as_text!($type);
    };
}
pub(crate) use base64url_text;
