//! Why a signed request is refused.

use super::{ALGORITHM, HttpNonceError, LABEL, MAX_AGE_SECONDS, MAX_AHEAD_SECONDS, TAG};
use crate::nkey::KeyError;

/// Why a request's signature is not accepted. The texts are for the developer of a client and
/// hold nothing that the client did not send. Sending the same request again never helps; after
/// [`Stale`](Self::Stale) and [`Ahead`](Self::Ahead) set the clock and sign anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureRejection {
    /// A header is longer than any legitimate one.
    #[error("the header {0} is too long")]
    FieldTooLong(&'static str),
    /// A header is not a structured field of the right form (RFC 9651).
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    MissingField(&'static str),
    /// A header that must be there once is there more often.
    #[error("the header {0} or its value is there more than once")]
    RepeatedField(&'static str),
    /// Only one of `Signature` and `Signature-Input` has our label.
    #[error("Signature and Signature-Input must both have a member {LABEL:?}; {0} has none")]
    MissingMember(&'static str),
    /// Our label stands more than once in one of the two headers.
    #[error("{0} has more than one member {LABEL:?}")]
    RepeatedMember(&'static str),
    /// The signature does not cover this component.
    #[error("the signature must cover {0:?}")]
    MissingComponent(&'static str),
    /// The signature covers something that it must not, or with parameters.
    #[error("the signature must not cover {0}")]
    UnexpectedComponent(String),
    /// The right components in another order.
    #[error("the covered components must be in the documented order")]
    ComponentOrder,
    /// A parameter that must be there is not.
    #[error("the signature parameter {0:?} is missing")]
    MissingParameter(&'static str),
    /// A parameter stands more than once.
    #[error("the signature parameter {0:?} is there more than once")]
    RepeatedParameter(&'static str),
    /// A parameter that must not be there.
    #[error("the signature parameter {0:?} is not used here")]
    UnexpectedParameter(String),
    /// A parameter of the wrong type or out of range.
    #[error("the signature parameter {0:?} has the wrong type")]
    ParameterType(&'static str),
    /// Another algorithm than Ed25519.
    #[error("the signature parameter \"alg\" must be {ALGORITHM:?}")]
    Algorithm,
    /// Made for another protocol.
    #[error("the signature parameter \"tag\" must be {TAG:?}")]
    Tag,
    /// `keyid` is no user id.
    #[error("the signature parameter \"keyid\" must be a user id: {0}")]
    KeyId(KeyError),
    /// `nonce` is not 128 bits of base64url.
    #[error("the signature parameter \"nonce\": {0}")]
    Nonce(HttpNonceError),
    /// `Content-Digest` has no SHA-256.
    #[error("Content-Digest must have a sha-256 digest")]
    DigestAlgorithm,
    /// Signed too long ago.
    #[error(
        "the request was signed {age} s ago, more than {MAX_AGE_SECONDS} s: check the clock and sign it anew"
    )]
    Stale {
        /// Seconds since `created`.
        age: u64,
    },
    /// Signed in the future.
    #[error(
        "the request was signed {ahead} s in the future, more than {MAX_AHEAD_SECONDS} s: check the clock and sign it anew"
    )]
    Ahead {
        /// Seconds until `created`.
        ahead: u64,
    },
    /// The signature is not this user's over this request.
    #[error("the signature does not match the request and the key")]
    BadSignature,
}
