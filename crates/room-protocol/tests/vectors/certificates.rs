//! Identities and the certificates that bind their keys.

use busauth::{Certificates, ExchangeKey, Identity, IdentityCard, LoginKey, UserId};
use serde_json::{Value, json};

use super::{array, hex, list, published, text, variant};
use crate::support::{handle, person, seeds};
use crate::wire::{list_of, lp};

fn person_json(n: u16) -> Value {
    let ([signing, login, exchange], me) = (seeds(n), person(n));
    json!({
        "handle": handle(n),
        "seeds": { "signing": hex(&signing), "login": hex(&login), "exchange": hex(&exchange) },
        "id": me.id(),
        "login": me.login_key(),
        "exchange": me.exchange_key(),
        "certificates": me.certificates(),
        "signed": {
            "login": hex(&signed("login", me.login_key().as_bytes())),
            "exchange": hex(&signed("exchange", me.exchange_key().as_bytes())),
        },
        "card": me.card(Some(handle(n))).to_string(),
    })
}

fn signed(which: &str, key: &[u8]) -> Vec<u8> {
    [list_of("unibus-key-cert-v1", &[which]), lp(key)].concat()
}

fn invalid_json(
    about: &str,
    id: UserId,
    login: LoginKey,
    exchange: ExchangeKey,
    certificates: Certificates,
) -> Value {
    let error = certificates.verify(&id, &login, &exchange).unwrap_err();
    json!({
        "about": about, "id": id, "login": login, "exchange": exchange, "certificates": certificates,
        "error": variant(&error),
    })
}

pub(super) fn document() -> Value {
    let (alice, bob) = (person(0), person(1));
    let own = alice.certificates();
    let swapped = Certificates { login: own.exchange, exchange: own.login };
    let [signing, _, exchange] = seeds(0);
    let shared = Identity::from_seeds(signing, signing, exchange);
    json!({
        "about": "Identities: seeds, public keys, the bytes each certificate signs, certificates, identity cards.",
        "people": (0..3).map(person_json).collect::<Value>(),
        "invalid": [
            invalid_json("another user's exchange key", alice.id(), alice.login_key(), bob.exchange_key(), own),
            invalid_json("another user's login key", alice.id(), bob.login_key(), alice.exchange_key(), own),
            invalid_json("another user's certificates", alice.id(), alice.login_key(), alice.exchange_key(), bob.certificates()),
            invalid_json("the two certificates swapped", alice.id(), alice.login_key(), alice.exchange_key(), swapped),
            invalid_json("the signing key as login key", shared.id(), shared.login_key(), shared.exchange_key(), shared.certificates()),
        ],
    })
}

#[test]
fn identities_are_made_from_their_seeds() {
    let document = published("certificates");
    for case in list(&document["people"]) {
        let seeds = &case["seeds"];
        let me =
            Identity::from_seeds(array(&seeds["signing"]), array(&seeds["login"]), array(&seeds["exchange"]));
        assert_eq!(me.id().to_string(), text(&case["id"]));
        assert_eq!(me.login_key().to_string(), text(&case["login"]));
        assert_eq!(me.exchange_key().to_string(), text(&case["exchange"]));
        for (which, key) in [("login", me.login_key().as_bytes()), ("exchange", me.exchange_key().as_bytes())]
        {
            let bytes = signed(which, key);
            assert_eq!(hex(&bytes), text(&case["signed"][which]));
            me.id().verify(&bytes, &text(&case["certificates"][which]).parse().unwrap()).unwrap();
        }
        let card: IdentityCard = text(&case["card"]).parse().unwrap();
        assert_eq!(card, me.card(Some(text(&case["handle"]).parse().unwrap())));
    }
}

#[test]
fn wrong_certificates_are_refused() {
    let document = published("certificates");
    for case in list(&document["invalid"]) {
        let certificates: Certificates = serde_json::from_value(case["certificates"].clone()).unwrap();
        let (id, login) = (text(&case["id"]).parse().unwrap(), text(&case["login"]).parse().unwrap());
        let error = certificates.verify(&id, &login, &text(&case["exchange"]).parse().unwrap()).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["about"]);
    }
}
