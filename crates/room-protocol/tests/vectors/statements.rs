//! Signed statements: the envelope and the strict JSON inside it.

use data_encoding::BASE64URL_NOPAD;
use room_protocol::{Op, SignedStatement};
use serde_json::{Value, json};

use super::{base64url, list, published, text, variant};
use crate::wire::sha256;
use crate::{
    statements::{header_of, sign_raw},
    support::{PLAIN, PRIVATE, Room, person},
};

fn part(jws: &str, place: usize) -> String {
    let part = jws.split('.').nth(place).unwrap();
    String::from_utf8(BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

fn valid_json(about: &str, entry: &SignedStatement) -> Value {
    json!({
        "about": about,
        "jws": entry.as_str(),
        "header": part(entry.as_str(), 0),
        "payload": part(entry.as_str(), 1),
        "author": entry.author(),
        "hash": entry.hash(),
        "room": entry.room(),
    })
}

fn invalid_json((about, jws): (&str, String)) -> Value {
    let error = jws.parse::<SignedStatement>().unwrap_err();
    json!({ "about": about, "jws": jws, "error": variant(&error) })
}

pub(super) fn document() -> Value {
    let alice = person(0);
    let room = Room::of_three(PRIVATE);
    let create = &room.log.entries()[0];
    let close = room.entry(0, Op::Close {});
    let valid = [
        valid_json("create, encrypted", create),
        valid_json("create, not encrypted", &Room::new(PLAIN).log.entries()[0]),
        valid_json("add", &room.log.entries()[1]),
        valid_json("set_role", &room.entry(0, Room::set_role(1, room_protocol::RoomRole::Reader))),
        valid_json("remove by an owner", &room.entry(0, room.remove(1))),
        valid_json("remove by the member itself", &room.entry(1, Room::leave(1))),
        valid_json("rekey", &room.entry(0, room.rekey())),
        valid_json(
            "update",
            &room.entry(
                0,
                Op::Update { name: "Messwerte – Labor".parse().unwrap(), limits: *room.state().limits() },
            ),
        ),
        valid_json("close", &close),
        valid_json(
            "white space, another order of members and an escape: the text that was signed counts",
            &sign_raw(
                &alice,
                &header_of(&alice),
                &part(close.as_str(), 1)
                    .replace(r#"{"v":1,"#, r#"{ "op" : { "cl\u006fse" : {} }, "v" : 1 , "#)
                    .replace(r#","op":{"close":{}}"#, " "),
            )
            .parse()
            .unwrap(),
        ),
    ];
    json!({
        "about": "Signed statements. Whether they may be said where they stand is in logs.json.",
        "valid": valid,
        "invalid": invalid(&close).map(invalid_json),
    })
}

fn invalid(close: &SignedStatement) -> [(&'static str, String); 26] {
    let (alice, bob) = (person(0), person(1));
    let jws = close.as_str();
    let payload = part(jws, 1);
    let with = |from: &str, to: &str| {
        let changed = payload.replace(from, to);
        assert_ne!(changed, payload, "{from}");
        sign_raw(&alice, &header_of(&alice), &changed)
    };
    let under = |header: String| sign_raw(&alice, &header, &payload);
    let id = alice.id();
    let unsigned = jws.rsplit_once('.').unwrap().0;
    let changed_payload =
        base64url(payload.replace(r#""seq":2"#, r#""seq":3"#).replace(r#""seq":4"#, r#""seq":5"#).as_bytes());
    let mut parts: Vec<&str> = jws.split('.').collect();
    parts[1] = &changed_payload;
    [
        ("two parts", unsigned.to_owned()),
        ("four parts", format!("{jws}.")),
        ("padding", format!("{jws}==")),
        ("no signature", format!("{unsigned}.")),
        ("the payload was changed after signing", parts.join(".")),
        ("signed by somebody else", sign_raw(&bob, &header_of(&alice), &payload)),
        (
            "signed with the login key's name as kid",
            under(format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"unibus-room"}}"#, alice.login_key())),
        ),
        (
            "header members in another order",
            under(format!(r#"{{"alg":"EdDSA","typ":"unibus-room","kid":"{id}"}}"#)),
        ),
        ("another algorithm", under(format!(r#"{{"alg":"none","kid":"{id}","typ":"unibus-room"}}"#))),
        ("another type", under(format!(r#"{{"alg":"EdDSA","kid":"{id}","typ":"JWT"}}"#))),
        ("a space in the header", under(format!(r#"{{"alg":"EdDSA", "kid":"{id}","typ":"unibus-room"}}"#))),
        (
            "kid is an exchange key",
            under(format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"unibus-room"}}"#, alice.exchange_key())),
        ),
        ("a member twice", with(r#""v":1"#, r#""v":1,"v":1"#)),
        ("a member twice, once with an escape", with(r#""at""#, r#""\u0061t":1,"at""#)),
        ("null", with(r#"{"close":{}}"#, r#"{"remove":{"user":"","epoch":null}}"#)),
        ("a fraction", with(r#""v":1"#, r#""v":1.0"#)),
        ("an exponent", with(r#""v":1"#, r#""v":1e0"#)),
        ("a number above 2^53 - 1", with(r#""at":"#, r#""at":900719925474099"#)),
        ("an array", with(r#"{"close":{}}"#, r#"["close"]"#)),
        ("more after the statement", with(r#"{"close":{}}}"#, r#"{"close":{}}}{}"#)),
        ("an unknown member", with(r#""v":1"#, r#""v":1,"note":"x""#)),
        ("a missing member", with(r#""v":1,"#, "")),
        ("two operations", with(r#""close":{}"#, r#""close":{},"rekey":{}"#)),
        ("no operation", with(r#"{"close":{}}"#, "{}")),
        ("version 2", with(r#""v":1"#, r#""v":2"#)),
        ("an unknown operation", with("close", "split")),
    ]
}

#[test]
fn statements_are_read_from_the_documentation() {
    let document = published("statements");
    for case in list(&document["valid"]) {
        let jws = text(&case["jws"]);
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"unibus-room"}}"#, text(&case["author"]));
        assert_eq!(text(&case["header"]), header);
        let (signed, signature) = jws.rsplit_once('.').unwrap();
        assert_eq!(
            signed,
            format!("{}.{}", base64url(header.as_bytes()), base64url(text(&case["payload"]).as_bytes()))
        );
        let author: busauth::UserId = text(&case["author"]).parse().unwrap();
        author.verify(signed.as_bytes(), &signature.parse().unwrap()).unwrap();
        assert_eq!(base64url(&sha256(jws.as_bytes())), text(&case["hash"]));

        let entry: SignedStatement = jws.parse().unwrap();
        assert_eq!(entry.author(), author);
        assert_eq!(entry.room().to_string(), text(&case["room"]));
    }
}

#[test]
fn what_is_no_statement_is_refused() {
    let document = published("statements");
    for case in list(&document["invalid"]) {
        let error = text(&case["jws"]).parse::<SignedStatement>().unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["about"]);
    }
}
