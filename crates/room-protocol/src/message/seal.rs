//! Making a message.

use busauth::Identity;
use rand_core::CryptoRng;

use super::{
    MessageHeaders, MessageId,
    cipher::{NONCE_BYTES, encrypt},
    headers::{signature_base, signed_list},
};
use crate::{epoch::EpochKey, room_subject::is_reply_subject, state::RoomState};

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct MessageDraft<'m> {
    /// Within the room's subject, or one of the room's reply subjects.
    pub subject: &'m str,
    /// The message's id. A retry of the same message keeps it.
    pub id: MessageId,
    /// The payload in clear.
    pub payload: &'m [u8],
}

/// A message as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedMessage {
    /// Names and values of the headers, in this order.
    pub headers: Vec<(&'static str, String)>,
    /// The payload as sent.
    pub payload: Vec<u8>,
}

/// Why a message is not made. Receivers would refuse it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealMessageError {
    /// The room is closed.
    #[error("the room is closed")]
    RoomClosed,
    /// This identity is not a member that may write.
    #[error("this identity may not write in the room")]
    NotAWriter,
    /// Neither within the room's subject nor one of its reply subjects.
    #[error("the subject is not one of the room's")]
    OutsideRoom,
    /// The key of the current epoch is not given. Fetch sealed keys first.
    #[error("the key of epoch {0} is needed to write in the room")]
    KeyMissing(u64),
    /// The key given is not that of the current epoch. Fetch log and sealed keys first.
    #[error("the key given is not that of epoch {0}")]
    WrongKey(u64),
    /// The payload is longer than the cipher can take (256 GiB).
    #[error("the payload is too long to encrypt")]
    TooLong,
}

/// Signs a message on the head of `state` and, in an encrypted room, encrypts it with `key`, the key of the
/// current epoch.
///
/// `key` is not used in a room that is not encrypted.
pub fn seal_message(
    state: &RoomState,
    identity: &Identity,
    key: Option<&EpochKey>,
    draft: MessageDraft<'_>,
    rng: &mut impl CryptoRng,
) -> Result<SealedMessage, SealMessageError> {
    let MessageDraft { subject, id, payload } = draft;
    let from = identity.id();
    if state.is_closed() {
        return Err(SealMessageError::RoomClosed);
    }
    if !state.may_write(&from) {
        return Err(SealMessageError::NotAWriter);
    }
    let room = state.id();
    if !state.subject().covers(subject) && !is_reply_subject(&room, subject) {
        return Err(SealMessageError::OutsideRoom);
    }
    let head = state.head();
    let epoch = state.epoch().map(|epoch| epoch.n);
    let signed = signed_list(&room, subject, &from, &id, epoch, &head);
    let payload = match state.epoch() {
        None => payload.to_vec(),
        Some(epoch) => {
            let key = key.ok_or(SealMessageError::KeyMissing(epoch.n))?;
            if !key.belongs_to(&state.key_context(epoch.n), &epoch) {
                return Err(SealMessageError::WrongKey(epoch.n));
            }
            let mut nonce = [0; NONCE_BYTES];
            rng.fill_bytes(&mut nonce);
            encrypt(key, nonce, &signed, payload).ok_or(SealMessageError::TooLong)?
        }
    };
    let signature = identity.sign(signature_base(signed, &payload).as_bytes());
    let headers = MessageHeaders { from, id, epoch, head, signature }.to_pairs();
    Ok(SealedMessage { headers, payload })
}
