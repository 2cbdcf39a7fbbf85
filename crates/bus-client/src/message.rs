//! What a subscription delivers: a message, or exactly why what arrived is none.

use std::fmt;
use std::sync::Arc;

use busauth::{Handle, UserId};
use bytes::Bytes;
use room_protocol::message::Standing;
use room_protocol::{FileNote, MessageId, MessageRejection};

use crate::error::{Error, ErrorKind, Result};
use crate::event::GapCause;
use crate::room::RoomCore;

/// A message of a room.
#[derive(Clone)]
#[non_exhaustive]
pub struct Message {
    /// Who wrote it; none for the message of a plain NATS client, whose sender nobody can prove.
    pub from: Option<UserId>,
    /// What the room's signed log calls the sender; none also when that name is pinned to somebody else here.
    pub handle: Option<Handle>,
    /// Where it was published.
    pub subject: String,
    /// The content, decrypted.
    pub payload: Bytes,
    /// Its id, unique per sender; none for the message of a plain NATS client.
    pub id: Option<MessageId>,
    /// When it was written, or for a plain NATS client when it arrived: Unix milliseconds.
    pub at: u64,
    /// Whether sender and content are proven.
    pub trust: Trust,
    /// Whether something has changed since that would make the room refuse it now.
    pub standing: Standing,
    pub(crate) reply: Option<String>,
    pub(crate) room: Arc<RoomCore>,
}

/// Whether sender and content of a message are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Signed by a member who may write, on a membership log that agrees with ours.
    Verified,
    /// From a plain NATS client, in a room without encryption. Anybody with access, the server included, can have made it.
    Unverified,
}

impl Message {
    /// Whether somebody waits for a reply at a subject of this room.
    pub fn wants_reply(&self) -> bool {
        self.reply.is_some()
    }

    /// The file that this message tells about, if it does. Who sent the message put the file there, as far as the message
    /// itself can be trusted ([`Message::trust`]).
    pub fn file(&self) -> Option<FileNote> {
        FileNote::from_payload(&self.payload)
    }

    /// Replies to a request, encrypted and signed like every message of the room.
    pub async fn reply(&self, payload: impl Into<Bytes>) -> Result<MessageId> {
        let Some(reply) = &self.reply else {
            return Err(Error::new(
                ErrorKind::NoReply,
                "nobody waits for a reply to this message, or not at a subject of the room",
            ));
        };
        self.room.publish(reply, &payload.into(), None).await
    }
}

impl fmt::Debug for Message {
    /// Without the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("from", &self.from)
            .field("subject", &self.subject)
            .field("id", &self.id)
            .field("bytes", &self.payload.len())
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// Why something that arrived is not a message, or why messages may be missing.
#[derive(Clone)]
pub struct MessageError(Box<Refused>);

#[derive(Clone)]
struct Refused {
    kind: MessageErrorKind,
    subject: Option<String>,
    signed_by: Option<UserId>,
    id: Option<MessageId>,
    cause: Option<Arc<Error>>,
}

/// Why something that arrived is not a message. New kinds may be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageErrorKind {
    /// A rule of the room protocol refuses it; each rule has its own variant.
    #[error(transparent)]
    Rejected(#[from] MessageRejection),
    /// The sender knew entries of the membership log that the server does not deliver.
    #[error("the sender knew entries of the room's log that the server does not deliver")]
    LogWithheld,
    /// The key of its epoch could not be had; the cause says whether the server has none, or a wrong one.
    #[error("the key of the message's epoch cannot be had")]
    Key(ErrorKind),
    /// What is needed to judge it could not be fetched.
    #[error("the message could not be checked")]
    Unchecked(ErrorKind),
    /// Messages may be missing before the next one.
    #[error("messages may be missing")]
    Gap(GapCause),
    /// The bus calls this identity a member and keeps closing the subscription all the same. Nothing follows.
    #[error("the bus does not let this identity listen here")]
    NotAdmitted,
    /// This identity is no longer a member of the room, or the room is gone. Nothing follows.
    #[error("this identity is not a member of the room any more")]
    RoomLost,
}

impl MessageError {
    pub(crate) fn new(kind: impl Into<MessageErrorKind>) -> Self {
        let kind = kind.into();
        Self(Box::new(Refused { kind, subject: None, signed_by: None, id: None, cause: None }))
    }

    pub(crate) fn at(mut self, subject: &str) -> Self {
        self.0.subject = Some(subject.to_owned());
        self
    }

    pub(crate) fn signed(mut self, from: UserId, id: MessageId) -> Self {
        self.0.signed_by = Some(from);
        self.0.id = Some(id);
        self
    }

    pub(crate) fn because(mut self, cause: Error) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// What it was.
    pub fn kind(&self) -> &MessageErrorKind {
        &self.0.kind
    }

    /// The rule that refuses the message, if it is one.
    pub fn rejection(&self) -> Option<&MessageRejection> {
        match &self.0.kind {
            MessageErrorKind::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// Where it arrived; none when no single message is concerned.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// Who signed it, where the signature was right and something else was wrong.
    pub fn signed_by(&self) -> Option<UserId> {
        self.0.signed_by
    }

    /// The id it was signed with.
    pub fn id(&self) -> Option<MessageId> {
        self.0.id
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)?;
        match &self.0.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageError")
            .field("kind", &self.0.kind)
            .field("subject", &self.0.subject)
            .field("signed_by", &self.0.signed_by)
            .field("id", &self.0.id)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl std::error::Error for MessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}
