//! What is derived from an epoch's key.

use room_protocol::{EpochKey, KeyContext};
use serde_json::{Value, json};

use super::{
    array, base64url, context_bytes, context_json, context_of, hex, list, number, published, text, unhex,
};
use crate::support::{PRIVATE, Room, key, person};
use crate::wire::{hkdf, lp, sha256};

fn case(context: &KeyContext, n: u64) -> Value {
    let key = key(n);
    json!({
        "context": context_json(context),
        "n": n,
        "key": hex(key.as_bytes()),
        "commit": hex(&hkdf(key.as_bytes(), "commit")),
        "message_key": hex(&hkdf(key.as_bytes(), "message")),
        "blob_key": hex(&hkdf(key.as_bytes(), "blob")),
        "commitment": key.commitment(context, n),
    })
}

pub(super) fn document() -> Value {
    let room = Room::new(PRIVATE);
    let other = KeyContext::Create { subject: "lab.sensors".parse().unwrap(), author: person(1).id() };
    json!({
        "about": "Epoch keys: HKDF-SHA256 outputs and the commitment. Epoch 1 has subject and author as its context, later ones the room.",
        "valid": [
            case(&room.state().key_context(1), 1),
            case(&other, 1),
            case(&room.state().key_context(2), 2),
            case(&room.state().key_context(2), 9_007_199_254_740_991),
        ],
    })
}

#[test]
fn commitments_are_made_from_the_documentation() {
    let document = published("epochs");
    for case in list(&document["valid"]) {
        let key = unhex(&case["key"]);
        let n = number(&case["n"]);
        assert_eq!(hex(&hkdf(&key, "commit")), text(&case["commit"]));
        let bytes = [
            lp(b"unibus-epoch-v1"),
            context_bytes(&case["context"]),
            n.to_be_bytes().to_vec(),
            lp(&hkdf(&key, "commit")),
        ]
        .concat();
        assert_eq!(base64url(&sha256(&bytes)), text(&case["commitment"]));

        let key = EpochKey::from_bytes(array(&case["key"]));
        let context = context_of(&case["context"]);
        assert_eq!(key.commitment(&context, n).to_string(), text(&case["commitment"]));
        assert!(key.belongs_to(&context, &key.open_epoch(&context, n)));
        assert!(!key.belongs_to(&context, &EpochKey::from_bytes([0; 32]).open_epoch(&context, n)));
    }
}
