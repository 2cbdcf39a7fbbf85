//! Remembers the nonces of accepted requests, so that none is accepted twice.

mod memory;

#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use memory::{MemoryNonceStore, NonceLimits};

use crate::http_signature::HttpNonce;
use crate::nkey::UserId;

/// Where nonces are remembered.
///
/// Ask only after the signature was verified, or anybody could fill the store. A request whose
/// nonce could not be remembered is not served.
#[async_trait]
pub trait NonceStore: Send + Sync {
    /// Remembers `nonce` of `user` until `expires`, unless it is remembered already.
    ///
    /// `now` and `expires` are unix seconds; `expires` is
    /// [`Claim::nonce_expires`](crate::http_signature::Claim::nonce_expires). Of several calls
    /// with the same nonce exactly one is told [`Freshness::Fresh`], across every process that
    /// shares the store.
    async fn insert_if_absent(
        &self,
        user: &UserId,
        nonce: &HttpNonce,
        now: u64,
        expires: u64,
    ) -> Result<Freshness, NonceStoreError>;
}

/// Whether a nonce was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Freshness {
    /// For the first time: the request may be served.
    Fresh,
    /// Again: the request is a replay and is refused.
    Seen,
}

/// Why the store cannot say. The request is refused in each case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NonceStoreError {
    /// Too many requests of all users in the last minute: answer 503.
    #[error("the nonce store is full")]
    Full,
    /// Too many requests of this one user in the last minute: answer 429.
    #[error("this user has too many requests in flight")]
    UserFull,
    /// The request was signed at a time of which the store has no memory (any more), for example
    /// before a restart. The client signs again, with a `created` of at least `sign_from`.
    #[error("the request was signed before the server could remember it; sign it anew")]
    Forgotten {
        /// The earliest `created`, in unix seconds, that can be checked.
        sign_from: u64,
    },
    /// The store cannot be reached: answer 503.
    #[error("the nonce store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
