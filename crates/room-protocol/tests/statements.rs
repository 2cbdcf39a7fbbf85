//! A signed statement has exactly one spelling, and nothing else is read as one.

use std::str::FromStr as _;

use busauth::Identity;
use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use room_protocol::{MAX_ENTRY_BYTES, Op, Part, RoomId, SignedStatement, Statement, StatementError};
use sha2::{Digest as _, Sha256};

use crate::support::{PRIVATE, Room, START, create_op, person};

/// A compact JWS over any header and payload, properly signed.
pub(crate) fn sign_raw(author: &Identity, header: &str, payload: &str) -> String {
    let signed = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(payload.as_bytes())
    );
    format!("{signed}.{}", author.sign(signed.as_bytes()))
}

pub(crate) fn header_of(author: &Identity) -> String {
    format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"unibus-room"}}"#, author.id())
}

fn refusal(payload: &str) -> StatementError {
    let author = person(0);
    SignedStatement::from_str(&sign_raw(&author, &header_of(&author), payload)).unwrap_err()
}

fn close() -> SignedStatement {
    Room::new(PRIVATE).entry(0, Op::Close {})
}

fn payload_of(entry: &SignedStatement) -> String {
    let payload = entry.as_str().split('.').nth(1).unwrap();
    String::from_utf8(BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

#[test]
fn what_is_signed_is_read_back() {
    let room = Room::of_three(PRIVATE);
    for entry in room.log.entries() {
        let read = SignedStatement::from_str(entry.as_str()).unwrap();
        assert_eq!(&read, entry);
        assert_eq!(read.author(), person(0).id());
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<SignedStatement>(&json).unwrap(), read);
    }
}

#[test]
fn the_room_id_comes_from_the_first_entry() {
    let first = Statement::first(create_op(PRIVATE), START).sign(&person(0));
    let digest = Sha256::digest(first.as_str().as_bytes());
    assert_eq!(first.room().as_bytes(), &digest[..16]);
    assert_eq!(first.hash().as_bytes()[..], digest[..]);
    assert_eq!(first.room().to_string().len(), 26);
    assert_eq!(RoomId::from_str(&first.room().to_string()), Ok(first.room()));
}

#[test]
fn the_header_has_one_spelling() {
    let author = person(0);
    let id = author.id();
    let payload = payload_of(&close());
    let headers = [
        format!(r#"{{"alg":"EdDSA","typ":"unibus-room","kid":"{id}"}}"#),
        format!(r#"{{"alg":"none","kid":"{id}","typ":"unibus-room"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{id}","typ":"JWT"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{id}","typ":"unibus-room"}} "#),
        format!(r#"{{"alg":"EdDSA", "kid":"{id}","typ":"unibus-room"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{id}","crit":[],"typ":"unibus-room"}}"#),
        String::new(),
    ];
    for header in headers {
        let jws = sign_raw(&author, &header, &payload);
        assert_eq!(SignedStatement::from_str(&jws), Err(StatementError::Header), "{header}");
    }
    for kid in
        [author.login_key().to_string()[1..].to_owned(), author.exchange_key().to_string(), String::new()]
    {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"unibus-room"}}"#);
        let jws = sign_raw(&author, &header, &payload);
        assert_eq!(SignedStatement::from_str(&jws), Err(StatementError::Author), "{kid}");
    }
}

#[test]
fn a_login_key_signs_no_statement() {
    // The login key is an Ed25519 key too: its name as `kid` is well formed, but no statement is signed with
    // it.
    let (author, payload) = (person(0), payload_of(&close()));
    let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"unibus-room"}}"#, author.login_key());
    let jws = sign_raw(&author, &header, &payload);
    assert_eq!(SignedStatement::from_str(&jws), Err(StatementError::BadSignature));
}

#[test]
fn only_the_compact_form_is_read() {
    let entry = close();
    let jws = entry.as_str();
    for text in ["", ".", "..", &format!("{jws}."), jws.rsplit_once('.').unwrap().0, &format!(".{jws}")] {
        let error = SignedStatement::from_str(text).unwrap_err();
        let parts = text.split('.').count();
        assert_eq!(error == StatementError::NotCompact, parts != 3, "{text}: {error}");
    }
    assert_eq!(SignedStatement::from_str(&"a".repeat(MAX_ENTRY_BYTES + 1)), Err(StatementError::TooLong));
}

#[test]
fn base64url_has_one_spelling() {
    let entry = close();
    let parts: Vec<&str> = entry.as_str().split('.').collect();
    let with = |place: usize, part: &str| {
        let mut parts = parts.clone();
        parts[place] = part;
        SignedStatement::from_str(&parts.join(".")).unwrap_err()
    };
    for (place, name) in [(0, Part::Header), (1, Part::Payload), (2, Part::Signature)] {
        for spoilt in
            [format!("{}=", parts[place]), format!("{} ", parts[place]), format!("{}+", parts[place])]
        {
            assert_eq!(with(place, &spoilt), StatementError::Encoding(name), "{spoilt}");
        }
    }
    // A signature has 86 characters, the last of which has four spare bits.
    let last = parts[2].chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spare = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let spelled_otherwise = format!("{}{spare}", &parts[2][..85]);
    assert_eq!(with(2, &spelled_otherwise), StatementError::Encoding(Part::Signature));
}

#[test]
fn a_statement_is_strict_json() {
    let payload = payload_of(&close());
    let op = r#""op":{"close":{}}"#;
    let cases = [
        String::new(),
        "[]".to_owned(),
        format!("{payload} x"),
        payload.replace(r#""v":1"#, r#""v":1.0"#),
        payload.replace(r#""seq":2"#, r#""seq":2,"seq":2"#),
        payload.replace(r#""seq":2"#, r#""seq":2,"s\u0065q":2"#),
        payload.replace(r#""seq":2"#, r#""seq":-2"#),
        payload.replace(r#""seq":2"#, r#""seq":2e0"#),
        payload.replace(r#""seq":2"#, r#""seq":9007199254740992"#),
        payload.replace(r#""seq":2"#, r#""seq":null"#),
        payload.replace(r#""seq":2"#, r#""seq":true"#),
        payload.replace(op, r#""op":["close",{}]"#),
        payload.replace(op, &format!(r#""op":{}1{}"#, r#"{"a":"#.repeat(200), "}".repeat(200))),
        "\u{feff}".to_owned() + &payload,
    ];
    for case in cases {
        assert_ne!(case, payload);
        assert!(matches!(refusal(&case), StatementError::Json(_)), "{case}: {:?}", refusal(&case));
    }
}

#[test]
fn unknown_and_missing_members_are_refused() {
    let payload = payload_of(&close());
    let cases = [
        payload.replace(r#""seq":2"#, r#""seq":2,"extra":1"#),
        payload.replace(r#""seq":2,"#, ""),
        payload.replace(r#""close":{}"#, r#""close":{"reason":"none"}"#),
        payload.replace(r#""close":{}"#, r#""close":{},"rekey":{}"#),
        payload.replace(r#"{"close":{}}"#, r#""close""#),
        payload.replace(r#"{"close":{}}"#, r"{}"),
        payload.replace(r#""seq":2"#, r#""seq":"2""#),
        payload.replace(r#"{"close":{}}"#, r#"{"remove":{"user":""}}"#),
        payload.replace(r#"{"close":{}}"#, r#"{"rekey":{}}"#),
    ];
    for case in cases {
        assert_ne!(case, payload);
        assert!(matches!(refusal(&case), StatementError::Malformed(_)), "{case}: {:?}", refusal(&case));
    }
}

#[test]
fn a_newer_program_is_asked_for() {
    let payload = payload_of(&close());
    assert_eq!(refusal(&payload.replace(r#""v":1"#, r#""v":2,"new":[]"#)), StatementError::UnknownVersion(2));
    let unknown = StatementError::UnknownOp("split".to_owned());
    assert_eq!(refusal(&payload.replace("close", "split")), unknown);
    assert_eq!(refusal(&payload.replace(r#""close":{}"#, r#""split":{"into":2}"#)), unknown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~]{0,200}") {
        prop_assert!(SignedStatement::from_str(&text).is_err());
    }

    /// One changed character anywhere is noticed, whatever part it falls into.
    #[test]
    fn one_changed_character_is_noticed(place in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.-]") {
        let entry = close();
        let mut text = entry.as_str().to_owned();
        let place = place.index(text.len());
        prop_assume!(text[place..=place] != other);
        text.replace_range(place..=place, &other);
        prop_assert!(SignedStatement::from_str(&text).is_err());
    }

    #[test]
    fn signed_payloads_of_any_shape_do_not_make_the_reader_panic(payload in r#"[{}\[\]":,a-z0-9 ]{0,80}"#) {
        let author = person(0);
        prop_assert!(SignedStatement::from_str(&sign_raw(&author, &header_of(&author), &payload)).is_err());
    }
}
