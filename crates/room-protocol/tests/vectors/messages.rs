//! Messages: headers, the bytes that are signed, ciphertexts, and why a receiver refuses one.

use busauth::{Identity, UserId};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{Aead as _, Payload},
};
use room_protocol::message::{
    Arrival, Freshness, MessageDraft, SealedMessage, Standing, header, seal_message,
};
use room_protocol::{EpochKey, MessageHeaders, MessageId, MessageRejection, Op, RoomLog, reply_subject};
use serde_json::{Value, json};

use super::{
    array, base64url, entries_json, entries_of, hex, list, number, published, text, unbase64url, variant,
};
use crate::support::{PLAIN, PRIVATE, Repeating, Room, START, key, person};
use crate::wire::{hkdf, lp, message_list, sha256, value_of};

const NOW: u64 = START + 3_600_000;
const SUBJECT: &str = "lab.sensors.hot";

/// The rooms of the document by name; those that go on after a message was written are named after what
/// happened.
fn rooms() -> Vec<(&'static str, Room)> {
    let encrypted = Room::of_three(PRIVATE);
    let plain = Room::of_three(PLAIN);
    let after = |room: &Room, author: u16, op: Op| {
        let mut room = room.clone();
        room.say(author, op);
        room
    };
    vec![
        ("encrypted, bob removed", after(&encrypted, 0, encrypted.remove(1))),
        (
            "encrypted, another history",
            after(&encrypted, 0, Room::set_role(2, room_protocol::RoomRole::Owner)),
        ),
        ("encrypted", encrypted),
        ("plain, closed", after(&plain, 0, Op::Close {})),
        ("plain, bob an owner", after(&plain, 0, Room::set_role(1, room_protocol::RoomRole::Owner))),
        ("plain", plain),
    ]
}

fn room(name: &str) -> Room {
    rooms().into_iter().find(|(found, _)| *found == name).unwrap().1
}

fn rooms_json() -> Value {
    let rooms = rooms().into_iter().map(|(name, room)| {
        let last = room.state().epoch().map_or(0, |epoch| epoch.n);
        let keys = (1..=last).map(|n| json!(hex(key(n).as_bytes()))).collect::<Value>();
        (name.to_owned(), json!({ "id": room.id(), "entries": entries_json(&room.log), "keys": keys }))
    });
    Value::Object(rooms.collect())
}

fn send(room: &Room, author: u16, n: u8, subject: &str, payload: &[u8]) -> SealedMessage {
    let key = room.state().epoch().map(|epoch| key(epoch.n));
    let draft = MessageDraft { subject, id: MessageId::new(NOW, [n; 10]), payload };
    seal_message(room.state(), &person(author), key.as_ref(), draft, &mut Repeating::new(u64::from(n)))
        .unwrap()
}

fn resigned(
    author: &Identity,
    room: &Room,
    message: &SealedMessage,
    name: &'static str,
    value: Option<&str>,
) -> SealedMessage {
    crate::wire::resigned(author, (room, SUBJECT), message, (name, value))
}

fn headers_json(message: &SealedMessage) -> Value {
    message.headers.iter().map(|(name, value)| json!([name, value])).collect()
}

fn headers_of(case: &Value) -> Vec<(&str, &str)> {
    list(&case["headers"]).iter().map(|header| (text(&header[0]), text(&header[1]))).collect()
}

/// How a message of the document arrives: from history when there is no clock.
#[derive(Clone, Copy)]
struct Live {
    now: u64,
    /// When the receiver learned of all entries but the first.
    learned_at: u64,
}

fn live_json(live: Option<Live>) -> Value {
    live.map_or(Value::Null, |Live { now, learned_at }| json!({ "now": now, "learned_at": learned_at }))
}

fn live_of(value: &Value) -> Option<Live> {
    (!value.is_null()).then(|| Live { now: number(&value["now"]), learned_at: number(&value["learned_at"]) })
}

/// Everything a receiver does with one case of the document: `before` are messages that it received first.
fn receive(document: &Value, case: &Value) -> Result<(Standing, Vec<u8>), MessageRejection> {
    let room = &document["rooms"][text(&case["room"])];
    let live = live_of(&case["live"]);
    let mut entries = entries_of(&room["entries"]);
    let mut log = RoomLog::verify(entries.next()).unwrap();
    for entry in entries {
        log.extend(entry, live.map_or(0, |live| live.learned_at)).unwrap();
    }
    let mut freshness = Freshness::new();
    let mut take = |case: &Value| {
        let arrival = match live {
            Some(Live { now, .. }) => Arrival::Live { now, freshness: &mut freshness },
            None => Arrival::History,
        };
        let permitted = MessageHeaders::parse(headers_of(case))?
            .ok_or(MessageRejection::Unsigned)?
            .verify_signature(&log.state().id(), text(&case["subject"]), unbase64url(&case["payload"]))?
            .check(&log, arrival)?;
        let key = permitted
            .epoch()
            .map(|n| EpochKey::from_bytes(array(&room["keys"][usize::try_from(n).unwrap() - 1])));
        Ok((permitted.standing(), permitted.open(key.as_ref())?))
    };
    for earlier in list(&case["before"]) {
        take(&document["valid"][usize::try_from(number(earlier)).unwrap()]).unwrap();
    }
    take(case)
}

fn case(
    about: &str,
    room: &str,
    subject: &str,
    message: &SealedMessage,
    live: Option<Live>,
    before: &[usize],
) -> Value {
    json!({
        "about": about,
        "room": room,
        "subject": subject,
        "headers": headers_json(message),
        "payload": base64url(&message.payload),
        "live": live_json(live),
        "before": before,
    })
}

fn error_name(rejection: &MessageRejection) -> String {
    match rejection {
        MessageRejection::Headers(error) => variant(error),
        other => variant(other),
    }
}

const LIVE: Option<Live> = Some(Live { now: NOW, learned_at: NOW - 30_000 });

fn valid() -> Vec<Value> {
    let (encrypted, plain, owner) = (room("encrypted"), room("plain"), room("plain, bob an owner"));
    let reply = reply_subject(&encrypted.id(), [7; 16]);
    let hot = send(&encrypted, 1, 1, SUBJECT, b"23.5 degrees");
    vec![
        case("encrypted", "encrypted", SUBJECT, &hot, LIVE, &[]),
        case("encrypted, from history", "encrypted", SUBJECT, &hot, None, &[]),
        case(
            "encrypted, empty",
            "encrypted",
            "lab.sensors",
            &send(&encrypted, 0, 2, "lab.sensors", b""),
            LIVE,
            &[0],
        ),
        case("encrypted, a reply", "encrypted", &reply, &send(&encrypted, 1, 3, &reply, b"ok"), LIVE, &[0]),
        case("not encrypted", "plain", SUBJECT, &send(&plain, 1, 4, SUBJECT, "grün".as_bytes()), LIVE, &[]),
        case("sender removed since, within 30 s", "encrypted, bob removed", SUBJECT, &hot, LIVE, &[]),
        case("sender removed since, from history", "encrypted, bob removed", SUBJECT, &hot, None, &[]),
        case("head 4", "plain, bob an owner", SUBJECT, &send(&owner, 1, 5, SUBJECT, b"x"), LIVE, &[]),
        case(
            "head 3, the sender lost nothing since",
            "plain, bob an owner",
            SUBJECT,
            &send(&plain, 1, 6, SUBJECT, b"x"),
            LIVE,
            &[],
        ),
    ]
}

fn invalid() -> Vec<Value> {
    let (encrypted, plain) = (room("encrypted"), room("plain"));
    let hot = send(&encrypted, 1, 1, SUBJECT, b"23.5 degrees");
    let open = send(&plain, 1, 4, SUBJECT, "grün".as_bytes());
    let by = |n: u16| person(n).id().to_string();
    let without = |name: &str| {
        let mut message = hot.clone();
        message.headers.retain(|(found, _)| *found != name);
        message
    };
    let with = |name: &'static str, value: &str| {
        let mut message = without(name);
        message.headers.push((name, value.to_owned()));
        message
    };
    let mut twice = hot.clone();
    twice.headers.push((header::FROM, by(1)));
    let mut altered = hot.clone();
    altered.payload[30] ^= 1;
    let unsigned =
        SealedMessage { headers: vec![("Content-Type", "text/plain".to_owned())], payload: b"hi".to_vec() };
    let encrypted_case =
        |about, message: &SealedMessage| case(about, "encrypted", SUBJECT, message, None, &[]);
    let re_encrypted =
        |n: u16, name, value: Option<&str>| resigned(&person(n), &encrypted, &hot, name, value);
    let re_plain = |n: u16, name, value: Option<&str>| resigned(&person(n), &plain, &open, name, value);
    let closed_head = room("plain, closed").log.head().to_string();
    let late = Some(Live { now: NOW, learned_at: NOW - 30_001 });
    let hour_off = Some(Live { now: NOW + 3_600_000, learned_at: NOW });
    let later = room("encrypted, bob removed");
    vec![
        encrypted_case("no headers of ours", &unsigned),
        encrypted_case("no sender", &without(header::FROM)),
        encrypted_case("two senders", &twice),
        encrypted_case("version 2", &with(header::VERSION, "2")),
        encrypted_case("epoch with a leading zero", &with(header::EPOCH, "03")),
        encrypted_case(
            "id of another UUID version",
            &with(header::ID, "019b7750-4080-4707-8707-070707070707"),
        ),
        encrypted_case("payload changed", &altered),
        encrypted_case("another epoch, not signed", &with(header::EPOCH, "2")),
        case("another subject", "encrypted", "lab.sensors.cold", &hot, None, &[]),
        case("another room", "plain", SUBJECT, &hot, None, &[]),
        encrypted_case("an entry that is not here", &send(&later, 0, 9, SUBJECT, b"x")),
        case(
            "another history",
            "encrypted, another history",
            SUBJECT,
            &send(&later, 0, 9, SUBJECT, b"x"),
            None,
            &[],
        ),
        encrypted_case("not a member", &re_encrypted(9, header::FROM, Some(&by(9)))),
        encrypted_case("a reader", &re_encrypted(2, header::FROM, Some(&by(2)))),
        case(
            "a closed room",
            "plain, closed",
            SUBJECT,
            &re_plain(1, header::HEAD, Some(&closed_head)),
            None,
            &[],
        ),
        encrypted_case("no epoch in an encrypted room", &re_encrypted(1, header::EPOCH, None)),
        case(
            "an epoch in a room that is not encrypted",
            "plain",
            SUBJECT,
            &re_plain(1, header::EPOCH, Some("1")),
            None,
            &[],
        ),
        encrypted_case("an older epoch", &re_encrypted(1, header::EPOCH, Some("2"))),
        encrypted_case("somebody else's ciphertext", &re_encrypted(0, header::FROM, Some(&by(0)))),
        case("sender removed, more than 30 s ago", "encrypted, bob removed", SUBJECT, &hot, late, &[]),
        case("received before", "encrypted", SUBJECT, &hot, LIVE, &[0]),
        case("an hour old", "encrypted", SUBJECT, &hot, hour_off, &[]),
        case("the sender has named a later head", "plain, bob an owner", SUBJECT, &open, LIVE, &[7]),
    ]
}

pub(super) fn document() -> Value {
    let mut document = json!({
        "about": "Messages. `live` gives the receiver's clock and when it learned of the log's entries; null: read from history. `before`: valid messages (by number, from 0) that the same receiver took first.",
        "rooms": rooms_json(),
        "valid": valid(),
        "invalid": invalid(),
    });
    for n in 0..list(&document["valid"]).len() {
        let (standing, plaintext) = receive(&document, &document["valid"][n]).unwrap();
        let room = text(&document["rooms"][text(&document["valid"][n]["room"])]["id"]).to_owned();
        let case = &mut document["valid"][n];
        let signed = message_list(&room, text(&case["subject"]), &headers_of(case));
        case["signed"] = json!(hex(&signed));
        case["plaintext"] = json!(base64url(&plaintext));
        case["late_since"] = match standing {
            Standing::Current => Value::Null,
            Standing::Late { since } => json!(since),
        };
    }
    for n in 0..list(&document["invalid"]).len() {
        let rejection = receive(&document, &document["invalid"][n]).unwrap_err();
        document["invalid"][n]["error"] = json!(error_name(&rejection));
    }
    document
}

#[test]
fn messages_are_read_from_the_documentation() {
    let document = published("messages");
    for case in list(&document["valid"]) {
        let room = &document["rooms"][text(&case["room"])];
        let signed = message_list(text(&room["id"]), text(&case["subject"]), &headers_of(case));
        assert_eq!(hex(&signed), text(&case["signed"]));
        let payload = unbase64url(&case["payload"]);
        let base = [signed.clone(), lp(&sha256(&payload))].concat();
        let from: UserId = value_of(&headers_of(case), "Unibus-From").unwrap().parse().unwrap();
        from.verify(&base, &value_of(&headers_of(case), "Unibus-Sig").unwrap().parse().unwrap()).unwrap();
        let plaintext = match value_of(&headers_of(case), "Unibus-Epoch") {
            None => payload,
            Some(n) => {
                let key: [u8; 32] = array(&room["keys"][n.parse::<usize>().unwrap() - 1]);
                let nonce: [u8; 24] = payload[..24].try_into().unwrap();
                XChaCha20Poly1305::new(&hkdf(&key, "message").into())
                    .decrypt(&nonce.into(), Payload { msg: &payload[24..], aad: &signed })
                    .unwrap()
            }
        };
        assert_eq!(base64url(&plaintext), text(&case["plaintext"]));

        let (standing, received) = receive(&document, case).unwrap();
        assert_eq!(received, plaintext);
        let since = match standing {
            Standing::Current => None,
            Standing::Late { since } => Some(since),
        };
        assert_eq!(since, case["late_since"].as_u64(), "{}", case["about"]);
    }
}

#[test]
fn refused_messages_are_refused_for_the_published_reason() {
    let document = published("messages");
    for case in list(&document["invalid"]) {
        let rejection = receive(&document, case).unwrap_err();
        assert_eq!(error_name(&rejection), text(&case["error"]), "{}", case["about"]);
    }
}
