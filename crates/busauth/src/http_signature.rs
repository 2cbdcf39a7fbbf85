//! Signed HTTP requests: HTTP Message Signatures (RFC 9421) with `Content-Digest` (RFC 9530).
//!
//! One profile, so that a request has one meaning:
//!
//! - label `unibus`, key [`UserId`](crate::UserId) as `keyid`, `alg="ed25519"`, `tag="unibus-v1"`,
//!   `created` (unix seconds) and `nonce` (128 random bits, base64url);
//! - covered, in this order: `"@method" "@authority" "@path" "@query"`, and when there is a body
//!   `"content-digest" "content-type"`.
//!
//! A client calls [`sign`]. A server calls [`read_claim`] and then, cheap checks first:
//! [`Claim::check_time`], its own list of users, [`Claim::verify`], a
//! [`NonceStore`](crate::NonceStore), and while the body streams [`ContentDigestHasher`].
//! `docs/http-signatures.md` describes the same for other languages; `examples/signed_request.rs`
//! plays both sides.
//!
//! ```
//! use busauth::http_signature::{self, RequestTarget};
//! use busauth::{HttpNonce, Identity, read_claim};
//! use http::{Method, Request, Uri};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The client.
//! let identity = Identity::generate();
//! let url: Uri = "https://bus.example:8470/v1/me".parse()?;
//! let target = RequestTarget::of(&Method::GET, &url).ok_or("the URL names a host")?;
//! let now = 1_800_000_000;
//! let headers = http_signature::sign(&identity, &target, None, now, &HttpNonce::random());
//! let mut request = Request::get("/v1/me").header("host", "bus.example:8470").body(())?;
//! request.headers_mut().extend(headers);
//!
//! // The server, after it compared the host with its own names.
//! let (parts, ()) = request.into_parts();
//! let claim = read_claim(&parts, "bus.example:8470", false)?.ok_or("signed")?;
//! claim.check_time(now)?;
//! assert_eq!(claim.user(), identity.id()); // here: look the user up
//! claim.verify()?;
//! // Then the nonce store, then the body against `claim.content_digest()`.
//! # Ok(())
//! # }
//! ```

mod authority;
mod base;
mod content_digest;
mod fields;
mod mode;
mod nonce;
mod rejection;
mod verify;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

pub use authority::{AuthorityError, request_authority};
pub use content_digest::{ContentDigest, ContentDigestHasher, DigestMismatch};
pub use fields::SignatureFields;
pub use mode::{AuthMode, AuthModeError};
pub use nonce::{HttpNonce, HttpNonceError};
pub use rejection::SignatureRejection;
pub use verify::{Claim, read_claim, read_claim_with};

use crate::identity::Identity;
use base::Components;
use fields::{Covered, SignatureParams};

/// The dictionary key under which our signature stands in `Signature` and `Signature-Input`.
pub const LABEL: &str = "unibus";
/// The value of the parameter `tag`. A signature for another protocol has another one.
pub const TAG: &str = "unibus-v1";
/// The value of the parameter `alg` (RFC 9421, 3.3.6).
pub const ALGORITHM: &str = "ed25519";
/// How old a request may be, in seconds.
pub const MAX_AGE_SECONDS: u64 = 60;
/// How far a request's clock may be ahead of the server's, in seconds.
pub const MAX_AHEAD_SECONDS: u64 = 5;
/// How long after `created` a nonce is remembered, in seconds: longer than the request is
/// accepted, by as much as clocks may differ.
pub const NONCE_LIFETIME_SECONDS: u64 = MAX_AGE_SECONDS + MAX_AHEAD_SECONDS;

/// `Signature-Input` (RFC 9421, 4.1).
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature` (RFC 9421, 4.2).
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// `Content-Digest` (RFC 9530, 2).
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// The header in which an unsigned caller names itself where [`AuthMode`] lets it.
pub const UNSIGNED_USER: HeaderName = HeaderName::from_static("unibus-user");

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct RequestTarget<'a> {
    /// The method, as sent.
    pub method: &'a Method,
    /// Host and port as in the `Host` header or `:authority`: `bus.example:8470`, `[::1]:8470`.
    /// Upper case and a default port (80, 443) make no difference.
    pub authority: &'a str,
    /// The path as sent, percent-encoded; `/` when the URL has none.
    pub path: &'a str,
    /// What follows `?`, as sent; `None` and an empty query are signed alike (RFC 9421, 2.2.7).
    pub query: Option<&'a str>,
}

impl<'a> RequestTarget<'a> {
    /// The target of a request to an absolute URL. `None` when the URL names no host.
    pub fn of(method: &'a Method, url: &'a Uri) -> Option<Self> {
        let authority = url.authority()?.as_str();
        Some(Self { method, authority, path: url.path(), query: url.query() })
    }
}

/// What is signed about a request's body.
#[derive(Debug, Clone, Copy)]
pub struct SignedBody<'a> {
    /// The digest of the body as sent.
    pub digest: ContentDigest,
    /// The value of the `Content-Type` header that the caller sends along.
    pub content_type: &'a str,
}

/// Signs a request with the identity's signing key.
///
/// `created` is the time in unix seconds; `nonce` must be new for every request. Returns the
/// headers to add: `Signature-Input`, `Signature`, and with a body `Content-Digest`. With a body
/// the caller must also send `Content-Type` as given in [`SignedBody`].
pub fn sign(
    identity: &Identity,
    target: &RequestTarget<'_>,
    body: Option<SignedBody<'_>>,
    created: u64,
    nonce: &HttpNonce,
) -> HeaderMap {
    let covered = if body.is_some() { Covered::RequestAndBody } else { Covered::Request };
    let params = SignatureParams::new(covered, created, *nonce, identity.id());
    let digest = body.map(|body| body.digest.to_string());
    let base = Components {
        target: *target,
        body: body.as_ref().zip(digest.as_deref()).map(|(body, digest)| (digest, body.content_type)),
    }
    .signature_base(&params);
    let signature = STANDARD.encode(identity.sign(base.as_bytes()).0);

    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(SIGNATURE_INPUT, ascii(format!("{LABEL}={params}")));
    headers.insert(SIGNATURE, ascii(format!("{LABEL}=:{signature}:")));
    if let Some(digest) = digest {
        headers.insert(CONTENT_DIGEST, ascii(digest));
    }
    headers
}

/// Header values that we write ourselves consist of base64, digits and fixed text.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("our own header values are visible ASCII")
}

/// One field of a request: all its lines joined as RFC 9651 (4.2) says, within [`MAX_FIELD_BYTES`].
fn field_value(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<Vec<u8>>, SignatureRejection> {
    let mut joined: Option<Vec<u8>> = None;
    for line in headers.get_all(name) {
        let value = match &mut joined {
            None => joined.insert(Vec::with_capacity(line.len())),
            Some(value) => {
                value.extend_from_slice(b", ");
                value
            }
        };
        value.extend_from_slice(line.as_bytes());
        if value.len() > fields::MAX_FIELD_BYTES {
            return Err(SignatureRejection::FieldTooLong(shown));
        }
    }
    Ok(joined)
}

/// The value of `Content-Type`, which must be sent once when a body is signed.
fn content_type(headers: &HeaderMap) -> Result<&str, SignatureRejection> {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let first = lines.next().ok_or(SignatureRejection::MissingField("content-type"))?;
    if lines.next().is_some() {
        return Err(SignatureRejection::RepeatedField("content-type"));
    }
    first.to_str().map_err(|_| SignatureRejection::Malformed("content-type"))
}
