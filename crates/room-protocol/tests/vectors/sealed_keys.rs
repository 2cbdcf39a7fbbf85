//! Sealed keys.

use busauth::Identity;
use room_protocol::{Epoch, EpochKey, KeyContext, SealedKey};
use serde_json::{Value, json};

use super::{array, context_bytes, context_json, context_of, hex, list, number, published, text, variant};
use crate::support::{PRIVATE, Repeating, Room, key, person, seeds};
use crate::wire::lp;

/// `lp("unibus-seal-v1") || context || n || lp(recipient)`
fn binding(context: &Value, n: u64, recipient: &str) -> Vec<u8> {
    [lp(b"unibus-seal-v1"), context_bytes(context), n.to_be_bytes().to_vec(), lp(recipient.as_bytes())]
        .concat()
}

fn seal(key: &EpochKey, context: &KeyContext, n: u64, recipient: u16) -> SealedKey {
    let me = person(recipient);
    let mut rng = Repeating::new(n + 100);
    SealedKey::seal(key, context, n, (&me.id(), &me.exchange_key()), &mut rng).unwrap()
}

/// What person `n` sees: a sealed key said to be that of `epoch`.
fn case(about: &str, n: u16, context: &KeyContext, epoch: &Epoch, sealed: &SealedKey) -> Value {
    let me = person(n);
    let [signing, login, exchange] = seeds(n);
    let context_value = context_json(context);
    let mut case = json!({
        "about": about,
        "recipient": me.id(),
        "seeds": { "signing": hex(&signing), "login": hex(&login), "exchange": hex(&exchange) },
        "context": context_value,
        "epoch": epoch,
        "aad": hex(&binding(&context_value, epoch.n, &me.id().to_string())),
        "sealed": sealed,
    });
    match sealed.open(&me, context, epoch) {
        Ok(key) => case["key"] = json!(hex(key.as_bytes())),
        Err(error) => case["error"] = json!(variant(&error)),
    }
    case
}

pub(super) fn document() -> Value {
    let room = Room::new(PRIVATE);
    let (create, later) = (room.state().key_context(1), room.state().key_context(2));
    let (first, second) = (key(1).open_epoch(&create, 1), key(2).open_epoch(&later, 2));
    let mut altered = seal(&key(2), &later, 2, 1).to_string();
    altered.replace_range(60..61, if altered[60..].starts_with('A') { "B" } else { "A" });
    json!({
        "about": "Sealed keys: HPKE base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, info \"unibus-seal-v1\".",
        "valid": [
            case("epoch 1, to its author", 0, &create, &first, &seal(&key(1), &create, 1, 0)),
            case("epoch 2", 1, &later, &second, &seal(&key(2), &later, 2, 1)),
        ],
        "invalid": [
            case("sealed to somebody else", 1, &later, &second, &seal(&key(2), &later, 2, 0)),
            case("sealed for another epoch", 1, &later, &second, &seal(&key(2), &later, 3, 1)),
            case("sealed for another context", 1, &later, &second, &seal(&key(2), &create, 2, 1)),
            case("altered", 1, &later, &second, &altered.parse().unwrap()),
            case("another key than the log promises", 1, &later, &second, &seal(&key(3), &later, 2, 1)),
        ],
    })
}

#[test]
fn sealed_keys_open_as_published() {
    let document = published("sealed_keys");
    for case in list(&document["valid"]).iter().chain(list(&document["invalid"])) {
        let seeds = &case["seeds"];
        let me =
            Identity::from_seeds(array(&seeds["signing"]), array(&seeds["login"]), array(&seeds["exchange"]));
        assert_eq!(me.id().to_string(), text(&case["recipient"]));
        let aad = binding(&case["context"], number(&case["epoch"]["n"]), text(&case["recipient"]));
        assert_eq!(hex(&aad), text(&case["aad"]));
        let sealed: SealedKey = text(&case["sealed"]).parse().unwrap();
        let epoch: Epoch = serde_json::from_value(case["epoch"].clone()).unwrap();
        match sealed.open(&me, &context_of(&case["context"]), &epoch) {
            Ok(key) => assert_eq!(hex(key.as_bytes()), text(&case["key"])),
            Err(error) => assert_eq!(variant(&error), text(&case["error"]), "{}", case["about"]),
        }
    }
}
