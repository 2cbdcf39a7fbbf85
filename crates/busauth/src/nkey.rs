//! The text form that NATS gives to keys ("nkeys"), and the three kinds of public key we use.
//!
//! Text is unpadded upper-case base32 of `prefix byte || 32 key bytes || CRC-16/XMODEM (little
//! endian)`: 56 characters that start with `U` (user) or `X` (curve). A seed has a second prefix
//! byte that says what kind it is: 58 characters, `SU…` or `SX…`. Reading is strict: one key has
//! exactly one text.

mod exchange_key;
mod field;
mod key_cache;
mod login_key;
mod user_id;

#[cfg(test)]
mod tests;

use crc::{CRC_16_XMODEM, Crc};
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

pub use exchange_key::ExchangeKey;
pub use key_cache::KeyCache;
pub use login_key::{LoginKey, LoginRefused};
pub use user_id::UserId;

const CHECKSUM: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
const KEY_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 2;
const PUBLIC_BYTES: usize = 1 + KEY_BYTES + CHECKSUM_BYTES;
const SEED_BYTES: usize = 2 + KEY_BYTES + CHECKSUM_BYTES;
const PUBLIC_CHARS: usize = 56;
const SEED_CHARS: usize = 58;
const SEED_PREFIX: u8 = 18 << 3;

/// Why a text or a number of bytes is not a key of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text has another length than a key of this kind.
    #[error("a key of this kind has {expected} characters, this text has {found}")]
    Length {
        /// Characters that a key of this kind has.
        expected: usize,
        /// Bytes of the text that was given.
        found: usize,
    },
    /// Not unpadded upper-case base32.
    #[error("not upper-case base32 without padding")]
    Encoding,
    /// The checksum does not fit: most likely a typing or copying error.
    #[error("the checksum is wrong: the key was mistyped or cut")]
    Checksum,
    /// A key, but of another kind (an account, a server, a seed, …).
    #[error("this is a key of another kind, expected one that starts with {expected:?}")]
    Kind {
        /// How a key of the expected kind starts.
        expected: &'static str,
    },
    /// The bytes are no point of the curve, a point in a second spelling, or one of the few that
    /// make every signature or every shared secret trivial.
    #[error("these bytes are not a usable public key")]
    Unusable,
}

/// The two kinds of nkey that belong to a person or service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ed25519, `U…`.
    User,
    /// X25519, `X…`.
    Curve,
}

impl Kind {
    fn prefix(self) -> u8 {
        match self {
            Self::User => 20 << 3,
            Self::Curve => 23 << 3,
        }
    }

    fn public_start(self) -> &'static str {
        match self {
            Self::User => "U",
            Self::Curve => "X",
        }
    }

    fn seed_start(self) -> &'static str {
        match self {
            Self::User => "SU",
            Self::Curve => "SX",
        }
    }

    /// The first ten bits say "seed" (five) and the kind (five).
    fn seed_prefix(self) -> [u8; 2] {
        let kind = self.prefix();
        [SEED_PREFIX | (kind >> 5), (kind & 0b1_1111) << 3]
    }
}

pub(crate) fn encode_public(kind: Kind, key: &[u8; KEY_BYTES]) -> String {
    let mut raw = [0; PUBLIC_BYTES];
    raw[0] = kind.prefix();
    raw[1..=KEY_BYTES].copy_from_slice(key);
    append_checksum(&mut raw);
    BASE32_NOPAD.encode(&raw)
}

pub(crate) fn decode_public(kind: Kind, text: &str) -> Result<[u8; KEY_BYTES], KeyError> {
    let raw: Zeroizing<[u8; PUBLIC_BYTES]> = decode(text, PUBLIC_CHARS)?;
    if raw[0] != kind.prefix() {
        return Err(KeyError::Kind { expected: kind.public_start() });
    }
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(&raw[1..=KEY_BYTES]);
    Ok(key)
}

pub(crate) fn encode_seed(kind: Kind, seed: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut raw = Zeroizing::new([0; SEED_BYTES]);
    raw[..2].copy_from_slice(&kind.seed_prefix());
    raw[2..2 + KEY_BYTES].copy_from_slice(seed);
    append_checksum(raw.as_mut_slice());
    Zeroizing::new(BASE32_NOPAD.encode(raw.as_slice()))
}

pub(crate) fn decode_seed(kind: Kind, text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let raw: Zeroizing<[u8; SEED_BYTES]> = decode(text, SEED_CHARS)?;
    if raw[..2] != kind.seed_prefix() {
        return Err(KeyError::Kind { expected: kind.seed_start() });
    }
    let mut seed = Zeroizing::new([0; KEY_BYTES]);
    seed.copy_from_slice(&raw[2..2 + KEY_BYTES]);
    Ok(seed)
}

fn append_checksum(raw: &mut [u8]) {
    let (body, checksum) = raw.split_at_mut(raw.len() - CHECKSUM_BYTES);
    checksum.copy_from_slice(&CHECKSUM.checksum(body).to_le_bytes());
}

/// Decodes and checks the checksum; what the prefix means is the caller's business.
fn decode<const N: usize>(text: &str, chars: usize) -> Result<Zeroizing<[u8; N]>, KeyError> {
    if text.len() != chars {
        return Err(KeyError::Length { expected: chars, found: text.len() });
    }
    let mut raw = Zeroizing::new([0; N]);
    // `BASE32_NOPAD` refuses lower case, padding and trailing bits that are not zero.
    BASE32_NOPAD.decode_mut(text.as_bytes(), raw.as_mut_slice()).map_err(|_| KeyError::Encoding)?;
    let (body, checksum) = raw.split_at(N - CHECKSUM_BYTES);
    if checksum != CHECKSUM.checksum(body).to_le_bytes() {
        return Err(KeyError::Checksum);
    }
    Ok(raw)
}
