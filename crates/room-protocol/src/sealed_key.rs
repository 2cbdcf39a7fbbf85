//! An epoch's key encrypted to one member.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Whoever opens
//! one compares what comes out with the commitment in the signed log, so that a sealed key needs no
//! signature: a wrong key is a lie that shows.

#[cfg(test)]
mod tests;

use std::fmt;

use busauth::{ExchangeKey, Identity, UserId};
use hpke::{
    Deserializable as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    encoding::{Transcript, array_from_base64url, serde_as_text, to_base64url},
    epoch::{Epoch, EpochKey, KeyContext},
};

type Kem = X25519HkdfSha256;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type Encapsulated = <Kem as hpke::Kem>::EncappedKey;

const SEAL_INFO: &str = "unibus-seal-v1";
const ENCAPSULATED_BYTES: usize = 32;
/// Encapsulated key, 32 bytes of key, 16 bytes of tag.
const SEALED_BYTES: usize = ENCAPSULATED_BYTES + 32 + 16;

/// An epoch's key that one member can open. Text: 107 characters of base64url over `encapsulated key ||
/// ciphertext`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealedKey([u8; SEALED_BYTES]);

/// The text is not a sealed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sealed key: 107 characters of base64url are expected")]
pub struct SealedKeyTextError;

/// The key could not be sealed: the recipient's exchange key is not a usable point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot seal a key to {0}: the exchange key is not usable")]
pub struct SealError(pub UserId);

/// Why a sealed key gave no epoch key. Neither gets better by trying again; ask an owner to rekey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed to somebody else, for another room or epoch, or altered.
    #[error("the sealed key of epoch {0} cannot be opened with this identity")]
    NotForUs(u64),
    /// A key came out that is not the one the epoch's author committed to: somebody swapped it.
    #[error("the sealed key of epoch {0} holds another key than the log promises")]
    OtherKey(u64),
}

impl SealedKey {
    /// Seals the key of epoch `n` to one member.
    pub fn seal(
        key: &EpochKey,
        context: &KeyContext,
        n: u64,
        recipient: (&UserId, &ExchangeKey),
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let (user, exchange) = recipient;
        let public = PublicKey::from_bytes(exchange.as_bytes()).map_err(|_| SealError(*user))?;
        let (encapsulated, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &public,
            SEAL_INFO.as_bytes(),
            key.as_bytes(),
            binding(context, n, user).as_bytes(),
            rng,
        )
        .map_err(|_| SealError(*user))?;
        let mut sealed = [0; SEALED_BYTES];
        sealed[..ENCAPSULATED_BYTES].copy_from_slice(&encapsulated.to_bytes());
        sealed[ENCAPSULATED_BYTES..].copy_from_slice(&ciphertext);
        Ok(Self(sealed))
    }

    /// Opens the key of `epoch` and checks it against the commitment in the log.
    pub fn open(
        &self,
        identity: &Identity,
        context: &KeyContext,
        epoch: &Epoch,
    ) -> Result<EpochKey, OpenError> {
        let opened = self.open_unchecked(identity, context, epoch.n).ok_or(OpenError::NotForUs(epoch.n))?;
        if opened.belongs_to(context, epoch) { Ok(opened) } else { Err(OpenError::OtherKey(epoch.n)) }
    }

    fn open_unchecked(&self, identity: &Identity, context: &KeyContext, n: u64) -> Option<EpochKey> {
        let secret = PrivateKey::from_bytes(identity.exchange_secret().as_bytes()).ok()?;
        let (encapsulated, ciphertext) = self.0.split_at(ENCAPSULATED_BYTES);
        let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &Encapsulated::from_bytes(encapsulated).ok()?,
            SEAL_INFO.as_bytes(),
            ciphertext,
            binding(context, n, &identity.id()).as_bytes(),
        );
        let opened = Zeroizing::new(opened.ok()?);
        Some(EpochKey::from_bytes(opened.as_slice().try_into().ok()?))
    }
}

/// What a sealed key is bound to: `lp("unibus-seal-v1") || context || n || lp(recipient)`.
fn binding(context: &KeyContext, n: u64, recipient: &UserId) -> Transcript {
    context.write(Transcript::new(SEAL_INFO)).number(n).field(recipient.to_string().as_bytes())
}

impl std::str::FromStr for SealedKey {
    type Err = SealedKeyTextError;

    fn from_str(text: &str) -> Result<Self, SealedKeyTextError> {
        array_from_base64url(text).map(Self).ok_or(SealedKeyTextError)
    }
}

impl fmt::Display for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64url(&self.0))
    }
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(SealedKey);

/// A sealed key together with who can open it, as requests carry it: `{ "user": …, "sealed": … }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFor {
    /// The member that can open it.
    pub user: UserId,
    /// The sealed key.
    pub sealed: SealedKey,
}
