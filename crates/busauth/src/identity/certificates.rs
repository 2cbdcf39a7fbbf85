//! The signing key's word for the other two keys.

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::length_prefixed::length_prefixed;
use crate::nkey::{ExchangeKey, LoginKey, UserId};
use crate::signature::Signature;

const TAG: &[u8] = b"unibus-key-cert-v1";

/// Two signatures by the signing key: one for the login key, one for the exchange key.
///
/// Each is over `lp(tag) || lp("login" or "exchange") || lp(key)`, so that one cannot stand in
/// for the other. A server that swaps a user's keys cannot make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// For the login key.
    pub login: Signature,
    /// For the exchange key.
    pub exchange: Signature,
}

/// Why keys are not certified. Treat the keys as somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The user did not certify this login key.
    #[error("the user's signing key did not certify this login key")]
    Login,
    /// The user did not certify this exchange key.
    #[error("the user's signing key did not certify this exchange key")]
    Exchange,
    /// The signing key doubles as login key, so every login would be a signature of the user.
    #[error("the login key is the signing key; they must be two different keys")]
    SharedKey,
}

impl Certificates {
    pub(super) fn issue(signing: &SigningKey, login: &LoginKey, exchange: &ExchangeKey) -> Self {
        Self {
            login: Signature(signing.sign(&login_message(login)).to_bytes()),
            exchange: Signature(signing.sign(&exchange_message(exchange)).to_bytes()),
        }
    }

    /// Checks that the user `id` certified both keys, each for its own use.
    pub fn verify(
        &self,
        id: &UserId,
        login: &LoginKey,
        exchange: &ExchangeKey,
    ) -> Result<(), CertificateError> {
        if id.as_bytes() == login.as_bytes() {
            return Err(CertificateError::SharedKey);
        }
        id.verify(&login_message(login), &self.login).map_err(|_| CertificateError::Login)?;
        id.verify(&exchange_message(exchange), &self.exchange).map_err(|_| CertificateError::Exchange)
    }
}

fn login_message(login: &LoginKey) -> Vec<u8> {
    length_prefixed(&[TAG, b"login", login.as_bytes()])
}

fn exchange_message(exchange: &ExchangeKey) -> Vec<u8> {
    length_prefixed(&[TAG, b"exchange", exchange.as_bytes()])
}
