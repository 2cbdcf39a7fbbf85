//! The digest of a request's body: `Content-Digest` (RFC 9530) with SHA-256.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{CONTENT_DIGEST, SignatureRejection, field_value};

/// The algorithm's key in the header's dictionary.
const SHA_256: &str = "sha-256";
const FIELD: &str = "content-digest";

/// A SHA-256 digest of a body. Displayed as the header's value, `sha-256=:…:`.
///
/// Equality takes the same time wherever two digests differ.
#[derive(Clone, Copy)]
pub struct ContentDigest([u8; 32]);

/// The body is not the one that was signed: refuse the request, whatever was done with the body
/// so far must be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body does not match the signed Content-Digest")]
pub struct DigestMismatch;

impl ContentDigest {
    /// The digest of a whole body.
    pub fn of(body: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(body.as_ref()).into())
    }

    /// A SHA-256 digest that was computed elsewhere.
    pub fn from_sha256(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks a body that is in memory as a whole.
    pub fn check(&self, body: impl AsRef<[u8]>) -> Result<(), DigestMismatch> {
        if Self::of(body) == *self { Ok(()) } else { Err(DigestMismatch) }
    }

    /// The SHA-256 digest that the headers declare for the body. Of a signed request, take what its
    /// [`Claim`](super::Claim) says instead: only that is proven.
    pub fn declared(headers: &HeaderMap) -> Result<Self, SignatureRejection> {
        Self::from_headers(headers).map(|(digest, _)| digest)
    }

    /// Reads the header. Digests by other algorithms may stand beside SHA-256 and are ignored.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<(Self, String), SignatureRejection> {
        let value =
            field_value(headers, &CONTENT_DIGEST, FIELD)?.ok_or(SignatureRejection::MissingField(FIELD))?;
        let text = String::from_utf8(value).map_err(|_| SignatureRejection::Malformed(FIELD))?;
        Ok((Self::parse(&text)?, text))
    }

    fn parse(text: &str) -> Result<Self, SignatureRejection> {
        let found = sfv::Parser::new(text)
            .parse_dictionary_with_visitor(Members::default())
            .map_err(|_| SignatureRejection::Malformed(FIELD))?;
        match found.count {
            0 => Err(SignatureRejection::DigestAlgorithm),
            1 => found.digest.map(Self).ok_or(SignatureRejection::Malformed(FIELD)),
            _ => Err(SignatureRejection::RepeatedField(FIELD)),
        }
    }
}

impl PartialEq for ContentDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ContentDigest {}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHA_256}=:{}:", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Computes a [`ContentDigest`] while a body streams.
#[derive(Clone, Default)]
pub struct ContentDigestHasher(Sha256);

impl ContentDigestHasher {
    /// Starts with an empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next part of the body.
    pub fn update(&mut self, part: impl AsRef<[u8]>) {
        self.0.update(part.as_ref());
    }

    /// The digest of everything that was added.
    pub fn finish(self) -> ContentDigest {
        ContentDigest(self.0.finalize().into())
    }

    /// Checks everything that was added against what was signed.
    pub fn check(self, signed: &ContentDigest) -> Result<(), DigestMismatch> {
        if self.finish() == *signed { Ok(()) } else { Err(DigestMismatch) }
    }
}

impl fmt::Debug for ContentDigestHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentDigestHasher")
    }
}

/// Collects what stands under `sha-256`, and how often.
#[derive(Default)]
struct Members {
    count: usize,
    digest: Option<[u8; 32]>,
}

impl<'de> DictionaryVisitor<'de> for Members {
    type Out = Self;
    type Error = std::convert::Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        if key.as_str() != SHA_256 {
            return Ok(None);
        }
        self.count += 1;
        Ok(Some(DigestEntry(&mut self.digest)))
    }

    fn finish(self) -> Result<Self, Self::Error> {
        Ok(self)
    }
}

struct DigestEntry<'a>(&'a mut Option<[u8; 32]>);

impl<'de> EntryVisitor<'de> for DigestEntry<'_> {
    type Error = std::convert::Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(|value: BareItemFromInput<'de>| {
            *self.0 = match value {
                BareItemFromInput::ByteSequence(bytes) => bytes.try_into().ok(),
                _ => None,
            };
            Ok::<_, Self::Error>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        *self.0 = None;
        Ok(Ignored)
    }
}
