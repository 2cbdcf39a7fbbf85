//! Every key is read back as it was written, and nothing else is taken for one.

use busauth::Identity;
use room_protocol::{BlobDigest, RoomId};

use super::{Key, Names};

fn room() -> RoomId {
    "AAAAAAAAAAAAAAAAAAAAAAAAAA".parse().expect("a room id")
}

#[test]
fn keys_are_read_back() {
    let user = Identity::generate().id();
    let keys = [
        Key::User(user),
        Key::UserRole(user),
        Key::UserRevoked(user),
        Key::Entry(room(), 1),
        Key::Entry(room(), 12_345_678_901),
        Key::Frozen(room()),
        Key::File(room(), BlobDigest::from_bytes([7; 32])),
        Key::Deleted(room()),
        Key::FirstStart,
        Key::Moving,
        Key::Barrier,
        Key::Node("n-1_a".parse().expect("a name")),
    ];
    for key in keys {
        let text = key.to_string();
        assert_eq!(Key::parse(&text), Some(key), "{text}");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{text}");
    }
}

#[test]
fn what_is_no_key_is_not_taken_for_one() {
    let user = Identity::generate().id();
    for text in [
        "",
        "user",
        "user.somebody",
        &format!("user.{user}.admin"),
        &format!("room.{}", room()),
        &format!("room.{}.log.x", room()),
        "barrier.1",
        "fact.other",
        "node",
        "node.a.b",
    ] {
        assert_eq!(Key::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_prefix_is_one_word() {
    assert_eq!(Names::new("UNIBUS").map(|names| names.ctl).as_deref(), Some("UNIBUS_ctl"));
    assert!(Names::new("a.b").is_none() && Names::new("").is_none() && Names::new(&"x".repeat(65)).is_none());
}
