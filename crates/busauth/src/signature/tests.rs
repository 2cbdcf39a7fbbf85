//! The check of a signature against the library's own strict one, on signatures made to be refused, too.

use std::collections::HashSet;

use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use ed25519_dalek::{SigningKey, VerifyingKey};
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use super::*;

fn strictly(signature: &Signature, key: &VerifyingKey, message: &[u8]) -> bool {
    key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
}

/// A signature with this point as its first half. The equation holds when the point is the neutral one, and for
/// others of small order where the challenge happens to take them away.
fn with_nonce_point(point: &EdwardsPoint, key: &SigningKey, message: &[u8]) -> Signature {
    let r = point.compress().to_bytes();
    let hash =
        Sha512::new().chain_update(r).chain_update(key.verifying_key().as_bytes()).chain_update(message);
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let s = challenge * key.to_scalar();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(s.as_bytes());
    Signature(bytes)
}

#[test]
fn the_encodings_are_those_of_the_points_of_small_order() {
    let points: HashSet<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    assert_eq!(points.len(), 8);
    assert_eq!(HashSet::from(SMALL_ORDER), points);
    for bytes in SMALL_ORDER {
        assert!(CompressedEdwardsY(bytes).decompress().is_some_and(|point| point.is_small_order()));
    }
}

#[test]
fn a_first_half_of_small_order_is_refused_although_the_equation_holds() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = with_nonce_point(&EIGHT_TORSION[0], &key, b"hello");
    let lenient = ed25519_dalek::Signature::from_bytes(&signature.0);
    assert!(key.verifying_key().verify(b"hello", &lenient).is_ok(), "the equation holds");
    assert_eq!(signature.verify_by(&key.verifying_key(), b"hello"), Err(BadSignature));
}

proptest! {
    #[test]
    fn agrees_with_the_strict_check(
        seed: [u8; 32],
        message in prop::collection::vec(any::<u8>(), 0..64),
        flipped in prop::option::of(0..512_usize),
        torsion in prop::option::of(0..8_usize),
    ) {
        use ed25519_dalek::Signer as _;
        let key = SigningKey::from_bytes(&seed);
        let mut signature = match torsion {
            Some(n) => with_nonce_point(&EIGHT_TORSION[n], &key, &message),
            None => Signature(key.sign(&message).to_bytes()),
        };
        if let Some(bit) = flipped {
            signature.0[bit / 8] ^= 1 << (bit % 8);
        }
        let accepted = signature.verify_by(&key.verifying_key(), &message).is_ok();
        prop_assert_eq!(accepted, strictly(&signature, &key.verifying_key(), &message));
        prop_assert_eq!(accepted, flipped.is_none() && torsion.is_none());
    }
}
