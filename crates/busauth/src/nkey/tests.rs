//! Keys against published pairs, a second implementation, and everything that must be refused.

use data_encoding::BASE32_NOPAD;
use proptest::prelude::*;
use x25519_dalek::{PublicKey, StaticSecret};

use super::{Kind, decode_public, decode_seed, encode_public, encode_seed, field};
use crate::{BadSignature, ExchangeKey, Identity, KeyError, LoginKey, UserId};

/// Seed and public key from the NATS documentation's page on the tool `nk`.
const USER_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const USER: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
/// Seed and public key from nats-server's tests of the auth callout.
const CURVE_SEED: &str = "SXAAXMRAEP6JWWHNB6IKFL554IE6LZVT6EY5MBRICPILTLOPHAG73I3YX4";
const CURVE: &str = "XAB3NANV3M6N7AHSQP2U5FRWKKUT7EG2ZXXABV4XVXYQRJGM4S2CZGHT";
/// A pair of the Go implementation, of a kind that nobody here may use as a user.
const ACCOUNT_SEED: &str = "SAAPN4W3EG6KCJGUQTKTJ5GSB5NHK5CHAJL4DBGFUM3HHROI4XUEP4OBK4";
const ACCOUNT: &str = "ACODERUVFFAWZQDSS6SBIACUA5O6SXF7HJ3YTYXBALHZP3P7R4BUO4J2";

#[test]
fn published_pairs_of_seed_and_public_key() {
    let user = decode_seed(Kind::User, USER_SEED).unwrap();
    let curve = decode_seed(Kind::Curve, CURVE_SEED).unwrap();
    assert_eq!(encode_seed(Kind::User, &user).as_str(), USER_SEED);
    assert_eq!(encode_seed(Kind::Curve, &curve).as_str(), CURVE_SEED);

    let identity = Identity::from_seeds(*user, [7; 32], *curve);
    assert_eq!(identity.id().to_string(), USER);
    assert_eq!(identity.exchange_key().to_string(), CURVE);
    assert_eq!(USER.parse(), Ok(identity.id()));
    assert_eq!(CURVE.parse(), Ok(identity.exchange_key()));
}

#[test]
fn keys_of_another_kind_are_refused() {
    let expected = |expected| KeyError::Kind { expected };
    assert_eq!(ACCOUNT.parse::<UserId>(), Err(expected("U")));
    assert_eq!(CURVE.parse::<UserId>(), Err(expected("U")));
    assert_eq!(CURVE.parse::<LoginKey>(), Err(expected("U")));
    assert_eq!(USER.parse::<ExchangeKey>(), Err(expected("X")));
    assert_eq!(decode_seed(Kind::User, ACCOUNT_SEED).unwrap_err(), expected("SU"));
    assert_eq!(decode_seed(Kind::User, CURVE_SEED).unwrap_err(), expected("SU"));
    assert_eq!(decode_seed(Kind::Curve, USER_SEED).unwrap_err(), expected("SX"));
    // A seed where a public key is expected must not get as far as a log or a database.
    assert_eq!(USER_SEED.parse::<UserId>(), Err(KeyError::Length { expected: 56, found: 58 }));
}

#[test]
fn text_is_read_strictly() {
    for text in ["", "U", &USER[1..], &format!("{USER}A"), &format!(" {USER}"), &format!("{USER}\n")] {
        assert!(matches!(text.parse::<UserId>(), Err(KeyError::Length { expected: 56, .. })), "{text:?}");
    }
    assert_eq!(USER.to_lowercase().parse::<UserId>(), Err(KeyError::Encoding));
    assert_eq!(format!("{}1", &USER[..55]).parse::<UserId>(), Err(KeyError::Encoding));
    assert_eq!(format!("{}=", &USER[..55]).parse::<UserId>(), Err(KeyError::Encoding));
    assert_eq!(format!("{}é", &USER[..54]).parse::<UserId>(), Err(KeyError::Encoding));
}

#[test]
fn a_seed_has_one_text_only() {
    // 58 characters have two bits more than a seed; a lenient reader would ignore them.
    let last = USER_SEED.as_bytes()[57];
    assert_eq!(last, b'Y');
    let respelled = format!("{}Z", &USER_SEED[..57]);
    assert_eq!(decode_seed(Kind::User, &respelled).unwrap_err(), KeyError::Encoding);
}

#[test]
fn every_changed_character_is_noticed() {
    for position in 0..USER.len() {
        for replacement in ["A", "7", "Q"] {
            if USER[position..].starts_with(replacement) {
                continue;
            }
            let mut changed = USER.to_owned();
            changed.replace_range(position..=position, replacement);
            assert_eq!(changed.parse::<UserId>(), Err(KeyError::Checksum), "position {position}");
        }
    }
}

#[test]
fn degenerate_keys_are_refused() {
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let mut above_prime = [0xff; 32];
    above_prime[31] = 0x7f;
    let no_point = {
        let mut bytes = [0; 32];
        bytes[0] = 2;
        bytes
    };
    for bytes in [[0; 32], identity_point, above_prime, no_point] {
        assert_eq!(UserId::from_bytes(bytes), Err(KeyError::Unusable));
        assert_eq!(LoginKey::from_bytes(bytes), Err(KeyError::Unusable));
        let text = encode_public(Kind::User, &bytes);
        assert_eq!(text.parse::<UserId>(), Err(KeyError::Unusable));
    }
    assert_eq!(ExchangeKey::from_bytes(above_prime), Err(KeyError::Unusable));
}

#[test]
fn an_exchange_key_has_one_spelling() {
    let mut bytes = *CURVE.parse::<ExchangeKey>().unwrap().as_bytes();
    bytes[31] |= 0x80;
    assert_eq!(ExchangeKey::from_bytes(bytes), Err(KeyError::Unusable));
}

#[test]
fn exchange_keys_that_share_no_secret_are_refused() {
    for bytes in field::SMALL_ORDER {
        let shared = StaticSecret::from([9; 32]).diffie_hellman(&PublicKey::from(bytes));
        assert!(!shared.was_contributory(), "the list names a key of large order");
        assert_eq!(ExchangeKey::from_bytes(bytes), Err(KeyError::Unusable));
    }
}

#[test]
fn json_goes_through_the_same_door() {
    let id: UserId = serde_json::from_str(&format!("\"{USER}\"")).unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{USER}\""));
    assert!(serde_json::from_str::<UserId>(&format!("\"{ACCOUNT}\"")).is_err());
    assert!(serde_json::from_str::<UserId>("[1, 2, 3]").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The `nkeys` crate and this one read and write the same texts.
    #[test]
    fn agrees_with_the_nkeys_crate(seed: [u8; 32]) {
        let theirs = nkeys::KeyPair::new_from_raw(nkeys::KeyPairType::User, seed).unwrap();
        let ours = Identity::from_seeds([1; 32], seed, [2; 32]);
        prop_assert_eq!(ours.login_key().to_string(), theirs.public_key());
        prop_assert_eq!(ours.login_seed().as_str().to_owned(), theirs.seed().unwrap());

        let nonce = "Zm9vYmFyLW5vbmNl";
        let signature = ours.answer_nonce(nonce).unwrap();
        theirs.verify(nonce.as_bytes(), &signature.0).unwrap();
        let signature = crate::Signature(theirs.sign(nonce.as_bytes()).unwrap().try_into().unwrap());
        ours.login_key().verify_nonce(nonce, &signature).unwrap();
        let text = ours.login_key().to_string();
        prop_assert_eq!(LoginKey::log_in(&text, nonce, &signature), Ok(ours.login_key()));
        prop_assert_eq!(LoginKey::log_in(&text, "another", &signature), Err(BadSignature.into()));
        prop_assert_eq!(LoginKey::log_in(CURVE, nonce, &signature), Err(KeyError::Kind { expected: "U" }.into()));
    }

    #[test]
    fn no_text_panics(text in ".{0,60}", raw in proptest::collection::vec(any::<u8>(), 35)) {
        let _any = text.parse::<UserId>();
        let _any = decode_public(Kind::Curve, &BASE32_NOPAD.encode(&raw));
        let _any = decode_seed(Kind::User, &text);
    }
}
