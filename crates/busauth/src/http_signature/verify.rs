//! Checking signed requests, one stage after the other.

use ed25519_dalek::VerifyingKey;
use http::request::Parts;

use super::base::Components;
use super::fields::{Covered, SignatureFields};
use super::{
    ContentDigest, HttpNonce, MAX_AGE_SECONDS, MAX_AHEAD_SECONDS, NONCE_LIFETIME_SECONDS, RequestTarget,
    SIGNATURE, SIGNATURE_INPUT, SignatureRejection, content_type, field_value,
};
use crate::nkey::{KeyCache, UserId};
use crate::signature::Signature;

/// What a request says about its signer. Nothing of it is proven before [`Claim::verify`], and
/// the body is not proven before it was checked against [`Claim::content_digest`].
#[derive(Debug, Clone)]
pub struct Claim {
    user: UserId,
    key: VerifyingKey,
    created: u64,
    nonce: HttpNonce,
    digest: Option<ContentDigest>,
    signature: Signature,
    base: String,
}

/// Reads the signature of a request without verifying it.
///
/// `authority` is the host that the request was sent to (see
/// [`request_authority`](super::request_authority)), already compared with the server's own names.
/// `has_body` must be what the server will do: `true` unless the body is known to be empty
/// (`!body.is_end_stream()`), else bytes could follow that nobody signed.
///
/// `None` means that the request carries no signature of ours. Everything else that is not of the
/// exact documented form is refused.
pub fn read_claim(
    parts: &Parts,
    authority: &str,
    has_body: bool,
) -> Result<Option<Claim>, SignatureRejection> {
    read(parts, authority, has_body, None)
}

/// [`read_claim`] in less time for users whose key is in the cache; see [`Claim::remember_key`].
pub fn read_claim_with(
    known: &KeyCache,
    parts: &Parts,
    authority: &str,
    has_body: bool,
) -> Result<Option<Claim>, SignatureRejection> {
    read(parts, authority, has_body, Some(known))
}

fn read(
    parts: &Parts,
    authority: &str,
    has_body: bool,
    known: Option<&KeyCache>,
) -> Result<Option<Claim>, SignatureRejection> {
    let input = field_value(&parts.headers, &SIGNATURE_INPUT, "signature-input")?;
    let signature = field_value(&parts.headers, &SIGNATURE, "signature")?;
    let fields = SignatureFields::read(&input.unwrap_or_default(), &signature.unwrap_or_default(), known)?;
    let Some(fields) = fields else {
        return Ok(None);
    };
    let body = match (fields.params.covered(), has_body) {
        (Covered::Request, false) => None,
        (Covered::RequestAndBody, true) => {
            let (digest, text) = ContentDigest::from_headers(&parts.headers)?;
            Some((digest, text, content_type(&parts.headers)?))
        }
        (Covered::Request, true) => return Err(SignatureRejection::MissingComponent("content-digest")),
        (Covered::RequestAndBody, false) => {
            return Err(SignatureRejection::UnexpectedComponent(
                "\"content-digest\" of a request without body".to_owned(),
            ));
        }
    };
    let target =
        RequestTarget { method: &parts.method, authority, path: parts.uri.path(), query: parts.uri.query() };
    let components = Components {
        target,
        body: body.as_ref().map(|(_, text, content_type)| (text.as_str(), *content_type)),
    };
    Ok(Some(Claim {
        user: fields.params.user(),
        key: fields.key,
        created: fields.params.created(),
        nonce: fields.params.nonce(),
        digest: body.as_ref().map(|(digest, ..)| *digest),
        signature: fields.signature,
        base: components.signature_base(&fields.params),
    }))
}

impl Claim {
    /// Who claims to have signed. Look the user up before the more expensive checks.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// When it claims to have been signed, in unix seconds.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// The nonce; give it to a [`NonceStore`](crate::NonceStore) after [`Claim::verify`].
    pub fn nonce(&self) -> &HttpNonce {
        &self.nonce
    }

    /// Until when the nonce must be remembered, in unix seconds.
    pub fn nonce_expires(&self) -> u64 {
        self.created.saturating_add(NONCE_LIFETIME_SECONDS)
    }

    /// The signed digest of the body; `None` when the request has no body.
    pub fn content_digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }

    /// Refuses what was signed more than 60 s before or 5 s after `now` (unix seconds).
    pub fn check_time(&self, now: u64) -> Result<(), SignatureRejection> {
        let age = now.saturating_sub(self.created);
        if age > MAX_AGE_SECONDS {
            return Err(SignatureRejection::Stale { age });
        }
        let ahead = self.created.saturating_sub(now);
        if ahead > MAX_AHEAD_SECONDS {
            return Err(SignatureRejection::Ahead { ahead });
        }
        Ok(())
    }

    /// Keeps the user's key for [`read_claim_with`]. After [`Claim::verify`], and for users that are known: what is
    /// kept is bounded, and strangers should not take the place of those who come again.
    pub fn remember_key(&self, keys: &KeyCache) {
        keys.insert(self.user, self.key);
    }

    /// Checks that the user signed exactly this request.
    pub fn verify(&self) -> Result<(), SignatureRejection> {
        self.signature
            .verify_by(&self.key, self.base.as_bytes())
            .map_err(|_| SignatureRejection::BadSignature)
    }
}
