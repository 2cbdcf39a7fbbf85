//! The published vectors in `docs/vectors/`: written by this code, and read back as a stranger to it would.
//!
//! After a change of the protocol, write them anew with `UNIBUS_WRITE_VECTORS=1 cargo test -p room-protocol
//! --test room_protocol vectors` and read the difference. What is checked here is put together from
//! `docs/room-protocol.md` where that is possible, not by the code under test.

mod certificates;
mod epochs;
mod files;
mod logs;
mod messages;
mod sealed_keys;
mod statements;

use std::{collections::BTreeMap, fmt::Debug, fs, path::PathBuf};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use room_protocol::{KeyContext, RoomLog, SignedStatement};
use serde_json::{Value, json};

use crate::wire::lp;

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn unbase64url(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text(value).as_bytes()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// The name of an error's variant.
fn variant(error: &impl Debug) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn context_json(context: &KeyContext) -> Value {
    match context {
        KeyContext::Create { subject, author } => json!({ "subject": subject, "author": author }),
        KeyContext::Room(room) => json!({ "room": room }),
    }
}

fn context_of(value: &Value) -> KeyContext {
    match value.get("room") {
        Some(room) => KeyContext::Room(text(room).parse().unwrap()),
        None => KeyContext::Create {
            subject: text(&value["subject"]).parse().unwrap(),
            author: text(&value["author"]).parse().unwrap(),
        },
    }
}

/// `lp(room)` or `lp(subject) || lp(author)`.
fn context_bytes(value: &Value) -> Vec<u8> {
    match value.get("room") {
        Some(room) => lp(text(room).as_bytes()),
        None => [lp(text(&value["subject"]).as_bytes()), lp(text(&value["author"]).as_bytes())].concat(),
    }
}

fn entries_json(log: &RoomLog) -> Value {
    log.entries().iter().map(|entry| json!(entry.as_str())).collect()
}

fn entries_of(value: &Value) -> impl Iterator<Item = SignedStatement> {
    list(value).iter().map(|jws| text(jws).parse().unwrap())
}

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors").join(format!("{name}.json"))
}

fn published(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path_of(name)).unwrap()).unwrap()
}

fn documents() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("certificates", certificates::document()),
        ("statements", statements::document()),
        ("logs", logs::document()),
        ("epochs", epochs::document()),
        ("sealed_keys", sealed_keys::document()),
        ("messages", messages::document()),
        ("files", files::document()),
    ])
}

#[test]
fn the_published_vectors_are_what_this_code_makes() {
    for (name, document) in documents() {
        if std::env::var_os("UNIBUS_WRITE_VECTORS").is_some() {
            fs::create_dir_all(path_of(name).parent().unwrap()).unwrap();
            fs::write(path_of(name), serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
        }
        // Not `assert_eq`: a difference in one of these is too long to print.
        assert!(published(name) == document, "docs/vectors/{name}.json is not what this code makes");
    }
}
