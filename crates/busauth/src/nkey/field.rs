//! What makes 32 bytes a public key: one spelling per key, and no degenerate ones.

use ed25519_dalek::VerifyingKey;

use super::KeyError;

/// Reads an Ed25519 public key.
///
/// RFC 8032 decoders disagree about coordinates at or above the field prime and about points of
/// small order. A user id must mean one key for everybody, so both are refused here.
pub(super) fn ed25519(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    if !is_reduced(bytes) {
        return Err(KeyError::Unusable);
    }
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Unusable)?;
    if key.is_weak() {
        return Err(KeyError::Unusable);
    }
    Ok(key)
}

/// Checks an X25519 public key (RFC 7748): below the field prime, top bit clear (X25519 ignores
/// it, so it would be a second spelling), and not of small order, with which no secret is shared.
pub(super) fn x25519(bytes: &[u8; 32]) -> Result<(), KeyError> {
    if bytes[31] & 0x80 != 0 || !is_reduced(bytes) || SMALL_ORDER.contains(bytes) {
        return Err(KeyError::Unusable);
    }
    Ok(())
}

/// Whether the coordinate in the lower 255 bits is below 2^255 - 19.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let all_ones_above = bytes[31] & 0x7f == 0x7f && bytes[1..31].iter().all(|&byte| byte == 0xff);
    !(all_ones_above && bytes[0] >= 0xed)
}

/// Every reduced coordinate of order 1, 2, 4 or 8 on Curve25519 and its twist.
pub(super) const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
];
