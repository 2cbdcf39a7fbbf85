//! The headers of a message, and the bytes that its signature covers.

use busauth::{Signature, UserId};

use super::{MessageId, MessageRejection, SignedMessage};
use crate::{
    encoding::{Transcript, sha256},
    head::{Head, parse_number},
    room_id::RoomId,
};

/// The names of the headers, as they stand on the wire.
pub mod header {
    /// Version of the message format: `1`.
    pub const VERSION: &str = "Unibus-V";
    /// The sender's id.
    pub const FROM: &str = "Unibus-From";
    /// The message's id.
    pub const ID: &str = "Unibus-Id";
    /// Number of the epoch whose key encrypts the payload; only in encrypted rooms.
    pub const EPOCH: &str = "Unibus-Epoch";
    /// The head of the room's log that the sender had.
    pub const HEAD: &str = "Unibus-Head";
    /// The sender's signature.
    pub const SIGNATURE: &str = "Unibus-Sig";
    /// `<from>.<id>`: by this the history stores a repeated message once. Not authenticated and not read by
    /// receivers.
    pub const NATS_MESSAGE_ID: &str = "Nats-Msg-Id";
}

const MESSAGE_TAG: &str = "unibus-msg-v1";
const VERSION: &str = "1";

/// The headers of one message: well formed, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHeaders {
    pub(super) from: UserId,
    pub(super) id: MessageId,
    pub(super) epoch: Option<u64>,
    pub(super) head: Head,
    pub(super) signature: Signature,
}

/// Why headers are not those of a message of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Some of the headers are there, this one is not.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// One header twice: two readers could take different ones.
    #[error("the header {0} occurs twice")]
    Repeated(&'static str),
    /// The value is not the one spelling that the header can have.
    #[error("the header {0} has no valid value")]
    Invalid(&'static str),
    /// The message is of a version that this code does not know.
    #[error("the message has another version than {VERSION}: a newer program is needed to read it")]
    UnknownVersion,
}

impl MessageHeaders {
    /// Reads a message's headers; `None` when it has none of ours, as a message of a plain NATS client.
    ///
    /// Names are compared exactly. Headers of other names are not authenticated by anything and are passed
    /// over.
    pub fn parse<'h>(
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    ) -> Result<Option<Self>, HeaderError> {
        let found = Found::collect(headers)?;
        if found.is_empty() {
            return Ok(None);
        }
        if need(found.version, header::VERSION)? != VERSION {
            return Err(HeaderError::UnknownVersion);
        }
        Ok(Some(Self {
            from: read(found.from, header::FROM)?,
            id: read(found.id, header::ID)?,
            epoch: found
                .epoch
                .map(|text| parse_number(text).ok_or(HeaderError::Invalid(header::EPOCH)))
                .transpose()?,
            head: read(found.head, header::HEAD)?,
            signature: read(found.signature, header::SIGNATURE)?,
        }))
    }

    /// Checks that the user in `Unibus-From` signed this message for this room and subject.
    ///
    /// `payload` is as it came over the wire. Says nothing about what that user may do.
    pub fn verify_signature<P: AsRef<[u8]>>(
        self,
        room: &RoomId,
        subject: &str,
        payload: P,
    ) -> Result<SignedMessage<P>, MessageRejection> {
        let signed = self.signed_list(room, subject);
        let message = signature_base(signed.clone(), payload.as_ref());
        self.from.verify(message.as_bytes(), &self.signature).map_err(|_| MessageRejection::BadSignature)?;
        Ok(SignedMessage { headers: self, room: *room, subject: subject.to_owned(), signed, payload })
    }

    fn signed_list(&self, room: &RoomId, subject: &str) -> Transcript {
        signed_list(room, subject, &self.from, &self.id, self.epoch, &self.head)
    }

    /// The headers as they are sent.
    pub(super) fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            (header::VERSION, VERSION.to_owned()),
            (header::FROM, self.from.to_string()),
            (header::ID, self.id.to_string()),
        ];
        pairs.extend(self.epoch.map(|epoch| (header::EPOCH, epoch.to_string())));
        pairs.extend([
            (header::HEAD, self.head.to_string()),
            (header::SIGNATURE, self.signature.to_string()),
            (header::NATS_MESSAGE_ID, format!("{}.{}", self.from, self.id)),
        ]);
        pairs
    }
}

/// `lp("unibus-msg-v1") || lp(room) || lp(subject) || lp(from) || lp(id) || epoch || lp(head)`: the values as
/// in the headers, the epoch as a number, 0 in a room that is not encrypted. Also what the ciphertext is
/// bound to.
pub(super) fn signed_list(
    room: &RoomId,
    subject: &str,
    from: &UserId,
    id: &MessageId,
    epoch: Option<u64>,
    head: &Head,
) -> Transcript {
    Transcript::new(MESSAGE_TAG)
        .field(room.to_string().as_bytes())
        .field(subject.as_bytes())
        .field(from.to_string().as_bytes())
        .field(id.to_string().as_bytes())
        .number(epoch.unwrap_or(0))
        .field(head.to_string().as_bytes())
}

/// What is signed: the list and `lp(SHA-256(payload as sent))`.
pub(super) fn signature_base(signed: Transcript, payload: &[u8]) -> Transcript {
    signed.field(&sha256(payload))
}

/// The values of our headers, each at most once.
#[derive(Default)]
struct Found<'h> {
    version: Option<&'h str>,
    from: Option<&'h str>,
    id: Option<&'h str>,
    epoch: Option<&'h str>,
    head: Option<&'h str>,
    signature: Option<&'h str>,
}

impl<'h> Found<'h> {
    fn collect(headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Result<Self, HeaderError> {
        let mut found = Self::default();
        for (name, value) in headers {
            let (name, slot) = match name {
                header::VERSION => (header::VERSION, &mut found.version),
                header::FROM => (header::FROM, &mut found.from),
                header::ID => (header::ID, &mut found.id),
                header::EPOCH => (header::EPOCH, &mut found.epoch),
                header::HEAD => (header::HEAD, &mut found.head),
                header::SIGNATURE => (header::SIGNATURE, &mut found.signature),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(HeaderError::Repeated(name));
            }
        }
        Ok(found)
    }

    fn is_empty(&self) -> bool {
        [self.version, self.from, self.id, self.epoch, self.head, self.signature].iter().all(Option::is_none)
    }
}

fn need<'h>(value: Option<&'h str>, name: &'static str) -> Result<&'h str, HeaderError> {
    value.ok_or(HeaderError::Missing(name))
}

fn read<T: std::str::FromStr>(value: Option<&str>, name: &'static str) -> Result<T, HeaderError> {
    need(value, name)?.parse().map_err(|_| HeaderError::Invalid(name))
}
