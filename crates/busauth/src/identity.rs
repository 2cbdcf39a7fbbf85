//! An identity: three secret keys that belong together.
//!
//! | key | is for | never |
//! |---|---|---|
//! | signing (Ed25519) | statements, messages, HTTP requests, certificates of the other two | given to a NATS client |
//! | login (Ed25519) | answering NATS nonces | accepted where a user signs |
//! | exchange (X25519) | opening sealed keys | |
//!
//! They are apart because a NATS nonce is a free string that the server chooses and clients sign
//! blindly: with one key for everything, any server could obtain any statement of the user.

mod card;
mod certificates;
#[cfg(unix)]
pub mod file;
mod fingerprint;
mod handle;

#[cfg(test)]
mod tests;

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub use card::{CardError, IdentityCard};
pub use certificates::{CertificateError, Certificates};
pub use handle::{Handle, HandleError};

use crate::nkey::{self, ExchangeKey, Kind, LoginKey, UserId};
use crate::signature::Signature;

/// Shortest nonce that is signed; nats-server sends 15 characters.
const NONCE_MIN_CHARS: usize = 8;
/// Longest nonce that is signed. Too short for anything else that somebody might want signed.
const NONCE_MAX_CHARS: usize = 64;

/// The three secret keys of a user or service. Secrets are wiped on drop and never printed.
pub struct Identity {
    signing: SigningKey,
    login: SigningKey,
    exchange: ExchangeSecret,
    id: UserId,
    login_key: LoginKey,
    exchange_key: ExchangeKey,
    certificates: Certificates,
}

/// The X25519 secret with which sealed keys are opened. Wiped on drop, never printed.
pub struct ExchangeSecret(StaticSecret);

/// The nonce is not one that a NATS server sends; signing it could sign something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "refused to sign a nonce that is not {NONCE_MIN_CHARS} to {NONCE_MAX_CHARS} characters of A-Z a-z 0-9 _ -: this is not how a NATS server asks for a login"
)]
pub struct NonceRefused;

impl Identity {
    /// Makes a new identity from the operating system's randomness.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give: no key may exist then.
    pub fn generate() -> Self {
        let [signing, login, exchange] = std::array::from_fn(|_| {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(seed.as_mut_slice()).expect("the operating system gives randomness");
            seed
        });
        Self::from_secrets(&signing, &login, &exchange)
    }

    /// Makes the identity that has these seeds: 32 random bytes each, all different.
    pub fn from_seeds(signing: [u8; 32], login: [u8; 32], exchange: [u8; 32]) -> Self {
        Self::from_secrets(&Zeroizing::new(signing), &Zeroizing::new(login), &Zeroizing::new(exchange))
    }

    fn from_secrets(
        signing: &Zeroizing<[u8; 32]>,
        login: &Zeroizing<[u8; 32]>,
        exchange: &Zeroizing<[u8; 32]>,
    ) -> Self {
        let signing = SigningKey::from_bytes(signing);
        let login = SigningKey::from_bytes(login);
        let exchange = ExchangeSecret(StaticSecret::from(**exchange));
        // A public key made from a seed is a multiple of the base point, in its one encoding.
        let usable = "a key made from a seed is usable";
        let id = UserId::from_bytes(signing.verifying_key().to_bytes()).expect(usable);
        let login_key = LoginKey::from_bytes(login.verifying_key().to_bytes()).expect(usable);
        let exchange_key = ExchangeKey::from_bytes(PublicKey::from(&exchange.0).to_bytes()).expect(usable);
        let certificates = Certificates::issue(&signing, &login_key, &exchange_key);
        Self { signing, login, exchange, id, login_key, exchange_key, certificates }
    }

    /// The user's id: the public signing key.
    pub fn id(&self) -> UserId {
        self.id
    }

    /// The public key that logs in to the data plane.
    pub fn login_key(&self) -> LoginKey {
        self.login_key
    }

    /// The public key that secrets are sealed to.
    pub fn exchange_key(&self) -> ExchangeKey {
        self.exchange_key
    }

    /// The signing key's word that the other two keys are the same user's.
    pub fn certificates(&self) -> Certificates {
        self.certificates
    }

    /// Everything public about this identity, in one line that can be given to others.
    pub fn card(&self, handle: Option<Handle>) -> IdentityCard {
        IdentityCard {
            id: self.id,
            login: self.login_key,
            exchange: self.exchange_key,
            certificates: self.certificates,
            handle,
        }
    }

    /// Signs `message` with the signing key.
    ///
    /// The caller composes the message so that it cannot be taken for another kind of message:
    /// with a tag in front, or a format that says what it is.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }

    /// Answers a NATS server's nonce with the login key.
    pub fn answer_nonce(&self, nonce: &str) -> Result<Signature, NonceRefused> {
        let plausible = (NONCE_MIN_CHARS..=NONCE_MAX_CHARS).contains(&nonce.len())
            && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !plausible {
            return Err(NonceRefused);
        }
        Ok(Signature(self.login.sign(nonce.as_bytes()).to_bytes()))
    }

    /// The secret that opens what was sealed to [`Identity::exchange_key`].
    pub fn exchange_secret(&self) -> &ExchangeSecret {
        &self.exchange
    }

    /// The login key's seed as nkey text (`SU…`), for a NATS client that signs nonces itself.
    ///
    /// Whoever has it can log in to the data plane as this user, and nothing more.
    pub fn login_seed(&self) -> Zeroizing<String> {
        nkey::encode_seed(Kind::User, self.login.as_bytes())
    }

    fn signing_seed(&self) -> Zeroizing<String> {
        nkey::encode_seed(Kind::User, self.signing.as_bytes())
    }

    fn exchange_seed(&self) -> Zeroizing<String> {
        nkey::encode_seed(Kind::Curve, self.exchange.as_bytes())
    }
}

impl ExchangeSecret {
    /// The secret's 32 bytes. Keep them no longer than the operation that needs them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExchangeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangeSecret(redacted)")
    }
}
