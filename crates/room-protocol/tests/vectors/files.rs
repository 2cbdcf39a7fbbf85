//! Encrypted files.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{Aead as _, Payload},
};
use room_protocol::chunked::{
    CHUNK_BYTES, CHUNK_OVERHEAD, ChunkCipher, ChunkError, ChunkPlace, ChunkedHeader, HEADER_BYTES,
};
use room_protocol::{EpochKey, RoomId};
use serde_json::{Value, json};

use super::{array, base64url, hex, list, number, published, text, unbase64url, variant};
use crate::wire::{hkdf, lp, sha256};
use crate::{
    files::{content, encrypt},
    support::{PRIVATE, Repeating, Room, key},
};

const EPOCH: u64 = 3;

fn room() -> RoomId {
    Room::new(PRIVATE).id()
}

fn header(n: u64) -> ChunkedHeader {
    ChunkedHeader::new(EPOCH, &mut Repeating::new(n))
}

fn file(n: u64, length: usize) -> Vec<u8> {
    let chunks = encrypt(&ChunkCipher::new(&key(EPOCH), &room(), &header(n)), &content(length));
    [header(n).to_bytes().to_vec(), chunks.concat()].concat()
}

/// Reads a whole file as the documentation says.
fn decrypt(room: &RoomId, key: &EpochKey, file: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let cipher = ChunkCipher::new(key, room, &ChunkedHeader::from_bytes(file)?);
    let body = &file[HEADER_BYTES..];
    let chunks: Vec<&[u8]> = body.chunks(CHUNK_BYTES + CHUNK_OVERHEAD).collect();
    let mut content = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let place = if number + 1 == chunks.len() { ChunkPlace::Last } else { ChunkPlace::Inner };
        content.extend(cipher.decrypt(number as u64, place, chunk)?);
    }
    if chunks.is_empty() { Err(ChunkError::WrongLength) } else { Ok(content) }
}

fn valid_json((n, length): (u64, usize)) -> Value {
    let file = file(n, length);
    let mut case =
        json!({ "length": length, "header": hex(&file[..HEADER_BYTES]), "sha256": hex(&sha256(&file)) });
    if length < 100 {
        case["file"] = json!(base64url(&file));
    }
    case
}

fn invalid_json((about, room, file): (&str, RoomId, Vec<u8>)) -> Value {
    let error = decrypt(&room, &key(EPOCH), &file).unwrap_err();
    json!({ "about": about, "room": room, "file": base64url(&file), "error": variant(&error) })
}

pub(super) fn document() -> Value {
    let whole = file(2, 10);
    let change = |place: usize| {
        let mut file = whole.clone();
        file[place] ^= 1;
        file
    };
    let cipher = ChunkCipher::new(&key(EPOCH), &room(), &header(2));
    let second = cipher.encrypt(1, ChunkPlace::Last, &content(10)).unwrap();
    let lengths = [(1, 0), (2, 10), (3, 65_535), (4, 65_536), (5, 65_537), (6, 200_000)];
    let invalid = [
        ("shorter than a header", room(), whole[..27].to_vec()),
        ("a header and nothing else", room(), whole[..HEADER_BYTES].to_vec()),
        ("cut within the tag", room(), whole[..HEADER_BYTES + 15].to_vec()),
        ("cut", room(), whole[..whole.len() - 1].to_vec()),
        ("altered", room(), change(HEADER_BYTES + 3)),
        ("another prefix", room(), change(20)),
        ("another epoch in the header", room(), change(8)),
        ("version 0", room(), change(0)),
        ("another room", "A".repeat(26).parse().unwrap(), whole.clone()),
        (
            "the second chunk in the place of the first",
            room(),
            [header(2).to_bytes().to_vec(), second].concat(),
        ),
    ];
    json!({
        "about": "Encrypted files; byte i of each content is i mod 251. `sha256` is of the whole encrypted file, header included.",
        "room": room(),
        "epoch": EPOCH,
        "key": hex(key(EPOCH).as_bytes()),
        "valid": lengths.map(valid_json),
        "invalid": invalid.map(invalid_json),
    })
}

/// STREAM-BE32 over XChaCha20-Poly1305, put together by hand: nonce = prefix || number || last.
fn decrypt_by_hand(document: &Value, file: &[u8]) -> Vec<u8> {
    let epoch = number(&document["epoch"]);
    assert_eq!(file[0], 1);
    assert_eq!(file[1..9], epoch.to_be_bytes());
    let cipher = XChaCha20Poly1305::new(&hkdf(&array::<32>(&document["key"]), "blob").into());
    let aad = [lp(b"unibus-blob-v1"), lp(text(&document["room"]).as_bytes()), epoch.to_be_bytes().to_vec()]
        .concat();
    let chunks: Vec<&[u8]> = file[28..].chunks(65_552).collect();
    let mut content = Vec::new();
    for (place, chunk) in chunks.iter().enumerate() {
        let number = u32::try_from(place).unwrap().to_be_bytes();
        let last = u8::from(place + 1 == chunks.len());
        let nonce: [u8; 24] = [&file[9..28], &number[..], &[last]].concat().try_into().unwrap();
        content.extend(cipher.decrypt(&nonce.into(), Payload { msg: chunk, aad: &aad }).unwrap());
    }
    content
}

#[test]
fn files_are_read_from_the_documentation() {
    let document = published("files");
    for (n, case) in (1..).zip(list(&document["valid"])) {
        let length = usize::try_from(number(&case["length"])).unwrap();
        let file = match case.get("file") {
            Some(file) => unbase64url(file),
            None => file(n, length),
        };
        assert_eq!(hex(&sha256(&file)), text(&case["sha256"]));
        assert_eq!(hex(&file[..HEADER_BYTES]), text(&case["header"]));
        assert_eq!(decrypt_by_hand(&document, &file), content(length));
        let room = text(&document["room"]).parse().unwrap();
        let key = EpochKey::from_bytes(array(&document["key"]));
        assert_eq!(decrypt(&room, &key, &file), Ok(content(length)));
    }
}

#[test]
fn broken_files_are_refused() {
    let document = published("files");
    let key = EpochKey::from_bytes(array(&document["key"]));
    for case in list(&document["invalid"]) {
        let room = text(&case["room"]).parse().unwrap();
        let error = decrypt(&room, &key, &unbase64url(&case["file"])).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["about"]);
    }
}
