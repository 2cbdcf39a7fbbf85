//! Identities, signed requests, subjects and permissions of the bus.
//!
//! Two halves that meet in [`Authenticator`]:
//!
//! - *Who is it?* An [`Identity`] holds three secret keys; the public signing key is the user's id
//!   ([`UserId`]). People hand each other an [`IdentityCard`]; key files are read and written by
//!   [`identity::file`]. HTTP requests are signed and checked by [`http_signature`], and a
//!   [`NonceStore`] sees to it that none counts twice.
//! - *What may it do?* Permissions over subjects and their compiled form.
//!
//! Nothing here does I/O except for key files and certificates that the caller names, nothing
//! reads a clock (`now` is an argument), and nothing spawns.
//!
//! **Invariants**
//!
//! - A value of a key, handle, card or subject type has passed its check: parsing is the only way
//!   in. A key or signature has exactly one text.
//! - Secrets are wiped on drop and have no text form in `Debug`, errors or logs.
//! - Absence means no: empty permissions allow nothing.

mod length_prefixed;
mod text_form;

pub mod http_signature;
pub mod identity;
mod nkey;
mod nonce_store;
pub mod private_file;
mod signature;

mod acl;
mod authenticator;
mod permissions;
mod subject;
mod sublist;
mod tls;

pub use acl::{Acl, SubscribeDecision};
pub use authenticator::{AuthFailure, Authenticated, Authenticator, Presented, Principal};
pub use http_signature::{
    AuthMode, AuthModeError, AuthorityError, Claim, ContentDigest, ContentDigestHasher, DigestMismatch,
    HttpNonce, HttpNonceError, RequestTarget, SignatureRejection, SignedBody, read_claim, read_claim_with,
    request_authority,
};
pub use identity::{
    CardError, CertificateError, Certificates, ExchangeSecret, Handle, HandleError, Identity, IdentityCard,
    NonceRefused,
};
pub use nkey::{ExchangeKey, KeyCache, KeyError, LoginKey, LoginRefused, UserId};
pub use nonce_store::{Freshness, MemoryNonceStore, NonceLimits, NonceStore, NonceStoreError};
pub use permissions::{
    Permissions, PublishRules, QueueFilter, QueueUse, ResponsePolicy, Space, SubscribeRule, SubscribeRules,
};
pub use signature::{BadSignature, Signature, SignatureTextError};
pub use subject::{MAX_SUBJECT_BYTES, QueueGroup, Subject, SubjectError, SubjectFilter};
pub use sublist::Sublist;
pub use tls::{
    CaFingerprint, CaFingerprintError, Reloaded, ServerTls, TlsError, client_config_from_ca_file,
    client_config_from_ca_pem, client_config_pinned,
};
