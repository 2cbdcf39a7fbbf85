//! The identity card: everything public about an identity in one line.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::certificates::{CertificateError, Certificates};
use super::handle::Handle;
use crate::nkey::{ExchangeKey, LoginKey, UserId};
use crate::text_form::serde_as_text;

const PREFIX: &str = "unibus1:";
/// A card with the longest handle has fewer than 800 characters; longer texts are not decoded.
const MAX_CHARS: usize = 1024;

/// A user's public keys with the certificates that bind them, as given from person to person.
///
/// Text form: `unibus1:` and base64url (unpadded) of JSON
/// `{ id, login, exchange, certificates: { login, exchange }, handle? }`. A value of this type
/// has passed the check of its certificates. Compare [`UserId::fingerprint`] over another
/// channel to know that a card is the person's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityCard {
    /// The user's id, the public signing key.
    pub id: UserId,
    /// The key that logs in to the data plane.
    pub login: LoginKey,
    /// The key that secrets are sealed to.
    pub exchange: ExchangeKey,
    /// The signing key's word for the other two.
    pub certificates: Certificates,
    /// The handle that the user would like to have.
    pub handle: Option<Handle>,
}

/// Why a text is not a valid identity card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Something else than a card of this version.
    #[error("an identity card starts with {PREFIX:?}")]
    Prefix,
    /// Longer than any card.
    #[error("an identity card has at most {MAX_CHARS} characters")]
    TooLong,
    /// The part after the prefix was cut or mistyped.
    #[error("the identity card is damaged: not base64url without padding")]
    Encoding,
    /// Not the JSON of a card; unknown and repeated members are refused.
    #[error("the identity card is damaged or not one: {0}")]
    Content(#[source] serde_json::Error),
    /// The keys do not belong together: do not use the card.
    #[error("the identity card is not genuine: {0}")]
    Certificate(#[from] CertificateError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardJson {
    id: UserId,
    login: LoginKey,
    exchange: ExchangeKey,
    certificates: Certificates,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
}

impl IdentityCard {
    /// Puts a card together and checks its certificates.
    pub fn new(
        id: UserId,
        login: LoginKey,
        exchange: ExchangeKey,
        certificates: Certificates,
        handle: Option<Handle>,
    ) -> Result<Self, CertificateError> {
        certificates.verify(&id, &login, &exchange)?;
        Ok(Self { id, login, exchange, certificates, handle })
    }
}

impl fmt::Display for IdentityCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(&CardJson {
            id: self.id,
            login: self.login,
            exchange: self.exchange,
            certificates: self.certificates,
            handle: self.handle.clone(),
        })
        .map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for IdentityCard {
    type Err = CardError;

    fn from_str(text: &str) -> Result<Self, CardError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(CardError::Prefix)?;
        if text.len() > MAX_CHARS {
            return Err(CardError::TooLong);
        }
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| CardError::Encoding)?;
        let card: CardJson = serde_json::from_slice(&json).map_err(CardError::Content)?;
        Ok(Self::new(card.id, card.login, card.exchange, card.certificates, card.handle)?)
    }
}

serde_as_text!(IdentityCard, "an identity card (unibus1:…)");
