//! The encryption of a payload: XChaCha20-Poly1305, the nonce in front, bound to everything that the
//! signature covers.

use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead as _, KeyInit as _, Payload},
};

use crate::{encoding::Transcript, epoch::EpochKey};

/// Bytes of the random nonce in front of every ciphertext. At 192 bits, random nonces do not repeat.
pub(super) const NONCE_BYTES: usize = 24;

/// `nonce || ciphertext and tag`.
pub(super) fn encrypt(
    key: &EpochKey,
    nonce: [u8; NONCE_BYTES],
    signed: &Transcript,
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    let payload = Payload { msg: plaintext, aad: signed.as_bytes() };
    let ciphertext = cipher(key).encrypt(&nonce.into(), payload).ok()?;
    Some([&nonce[..], &ciphertext].concat())
}

/// The plaintext, or `None` when key, binding or ciphertext do not belong together.
pub(super) fn decrypt(key: &EpochKey, signed: &Transcript, payload: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = payload.split_first_chunk::<NONCE_BYTES>()?;
    cipher(key).decrypt(&(*nonce).into(), Payload { msg: ciphertext, aad: signed.as_bytes() }).ok()
}

fn cipher(key: &EpochKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.message_key()).into())
}
