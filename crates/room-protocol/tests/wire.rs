//! The constructions of `docs/room-protocol.md`, written a second time: what another program would send,
//! honest or not.

use busauth::Identity;
use room_protocol::message::{SealedMessage, header};
use sha2::{Digest as _, Sha256};

use crate::support::Room;

/// `lp(bytes)`
pub(crate) fn lp(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// `lp(tag) || lp(field) || …`
pub(crate) fn list_of(tag: &str, fields: &[&str]) -> Vec<u8> {
    std::iter::once(&tag).chain(fields).flat_map(|field| lp(field.as_bytes())).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HKDF-SHA256 with an empty salt: 32 bytes.
pub(crate) fn hkdf(key: &[u8], info: &str) -> [u8; 32] {
    let mut derived = [0; 32];
    hkdf::Hkdf::<Sha256>::new(None, key).expand(info.as_bytes(), &mut derived).unwrap();
    derived
}

/// The value of a header that is there once.
pub(crate) fn value_of<'h>(headers: &[(&str, &'h str)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
}

/// `lp("unibus-msg-v1") || lp(room) || lp(subject) || lp(from) || lp(id) || epoch || lp(head)`
pub(crate) fn message_list(room: &str, subject: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let value = |name| value_of(headers, name).unwrap();
    let epoch: u64 = value_of(headers, "Unibus-Epoch").map_or(0, |epoch| epoch.parse().unwrap());
    [
        list_of("unibus-msg-v1", &[room, subject, value("Unibus-From"), value("Unibus-Id")]),
        epoch.to_be_bytes().to_vec(),
        lp(value("Unibus-Head").as_bytes()),
    ]
    .concat()
}

/// A message's headers as pairs of text.
pub(crate) fn pairs(message: &SealedMessage) -> Vec<(&str, &str)> {
    message.headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// The message with one header changed or left out, signed for `subject` by `author`: what a member with a
/// program of its own can send.
pub(crate) fn resigned(
    author: &Identity,
    (room, subject): (&Room, &str),
    message: &SealedMessage,
    (name, value): (&'static str, Option<&str>),
) -> SealedMessage {
    let mut message = message.clone();
    message.headers.retain(|(found, _)| *found != name && *found != header::SIGNATURE);
    message.headers.extend(value.map(|value| (name, value.to_owned())));
    let list = message_list(&room.id().to_string(), subject, &pairs(&message));
    let signature = author.sign(&[list, lp(&sha256(&message.payload))].concat());
    message.headers.push((header::SIGNATURE, signature.to_string()));
    message
}
