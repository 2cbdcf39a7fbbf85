//! The receiver's rules.

use busauth::UserId;

use super::{Freshness, MessageHeaders, MessageId, MessageRejection, cipher::decrypt};
use crate::{
    encoding::Transcript,
    epoch::EpochKey,
    head::Head,
    log::{HeadComparison, RoomLog},
    room_id::RoomId,
    room_subject::is_reply_subject,
    state::RoomState,
};

/// How long after learning of a change a live message from before it is still accepted: it may have been on
/// its way.
pub const SUPERSEDED_GRACE_MS: u64 = 30_000;

/// How a message came to us.
#[derive(Debug)]
pub enum Arrival<'f> {
    /// Just published.
    Live {
        /// Our clock, Unix milliseconds.
        now: u64,
        /// What was received in this room so far.
        freshness: &'f mut Freshness,
    },
    /// Read from the room's stored history, possibly long after it was written and more than once.
    History,
}

/// What the room's log says about the time a message was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing that matters to it changed since: the same message would be accepted now.
    Current,
    /// Since then its sender lost the right to write, a newer epoch opened, or the room was closed. Whether
    /// it was really written before, nobody can prove.
    Late {
        /// The entry that changed it.
        since: u64,
    },
}

/// A message that its sender signed. Whether the sender may write is not yet known.
#[derive(Clone)]
pub struct SignedMessage<P> {
    pub(super) headers: MessageHeaders,
    pub(super) room: RoomId,
    pub(super) subject: String,
    pub(super) signed: Transcript,
    pub(super) payload: P,
}

/// A message that its sender signed and was allowed to write.
#[derive(Clone)]
pub struct PermittedMessage<P> {
    message: SignedMessage<P>,
    standing: Standing,
}

impl<P: AsRef<[u8]>> SignedMessage<P> {
    /// The sender.
    pub fn from(&self) -> UserId {
        self.headers.from
    }

    /// The message's id.
    pub fn id(&self) -> MessageId {
        self.headers.id
    }

    /// The head that the sender had.
    pub fn head(&self) -> Head {
        self.headers.head
    }

    /// The epoch that the message names; `None` in a room that is not encrypted.
    pub fn epoch(&self) -> Option<u64> {
        self.headers.epoch
    }

    /// The subject it was signed for.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the sender knew more of the room's log than we do, so that the log has to be fetched before
    /// [`check`](Self::check).
    pub fn needs_head(&self, log: &RoomLog) -> bool {
        log.compare(&self.headers.head) == HeadComparison::Ahead
    }

    /// Applies the receiver's rules; `log` is the verified log of the room.
    pub fn check(self, log: &RoomLog, arrival: Arrival<'_>) -> Result<PermittedMessage<P>, MessageRejection> {
        self.check_place(log)?;
        let written_on = self.state_written_on(log)?;
        self.check_sender(&written_on)?;
        self.check_epoch(&written_on)?;
        let standing = match log.superseded_by(&self.headers.from, self.headers.head.seq) {
            None => Standing::Current,
            Some(since) => Standing::Late { since },
        };
        if let Arrival::Live { now, freshness } = arrival {
            check_grace(log, standing, now)?;
            freshness.accept(&self.headers.from, self.headers.id, self.headers.head.seq, now)?;
        }
        Ok(PermittedMessage { message: self, standing })
    }

    fn check_place(&self, log: &RoomLog) -> Result<(), MessageRejection> {
        let state = log.state();
        if state.id() != self.room {
            return Err(MessageRejection::OtherRoom);
        }
        if !state.subject().covers(&self.subject) && !is_reply_subject(&self.room, &self.subject) {
            return Err(MessageRejection::OutsideRoom);
        }
        Ok(())
    }

    /// The room as the sender knew it.
    fn state_written_on(&self, log: &RoomLog) -> Result<RoomState, MessageRejection> {
        let head = self.headers.head;
        match log.compare(&head) {
            HeadComparison::Ahead => Err(MessageRejection::HeadUnknown(head)),
            // A stranger's word about the log proves nothing; it must not be able to stop a room.
            HeadComparison::Forked(_) if !log.has_known(&self.headers.from) => {
                Err(MessageRejection::NotAMember(self.headers.from))
            }
            HeadComparison::Forked(fork) => Err(fork.into()),
            HeadComparison::Same | HeadComparison::Behind => {
                log.state_at(head.seq).ok_or(MessageRejection::HeadUnknown(head))
            }
        }
    }

    fn check_sender(&self, state: &RoomState) -> Result<(), MessageRejection> {
        let from = self.headers.from;
        if state.is_closed() {
            return Err(MessageRejection::RoomClosed);
        }
        match state.role_of(&from) {
            None => Err(MessageRejection::NotAMember(from)),
            Some(role) if !role.may_write() => Err(MessageRejection::NotAWriter(from)),
            Some(_) => Ok(()),
        }
    }

    fn check_epoch(&self, state: &RoomState) -> Result<(), MessageRejection> {
        match (state.epoch(), self.headers.epoch) {
            (None, Some(_)) => Err(MessageRejection::UnexpectedEpoch),
            (Some(_), None) => Err(MessageRejection::NotEncrypted),
            (Some(open), Some(found)) if open.n != found => {
                Err(MessageRejection::WrongEpoch { expected: open.n, found })
            }
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

/// Live messages on a replaced state are accepted only for as long as they may still have been on their way.
fn check_grace(log: &RoomLog, standing: Standing, now: u64) -> Result<(), MessageRejection> {
    let Standing::Late { since } = standing else {
        return Ok(());
    };
    let learned = log.learned_at(since).unwrap_or(0);
    if now > learned.saturating_add(SUPERSEDED_GRACE_MS) {
        return Err(MessageRejection::Superseded { since });
    }
    Ok(())
}

impl<P: AsRef<[u8]>> PermittedMessage<P> {
    /// The sender.
    pub fn from(&self) -> UserId {
        self.message.from()
    }

    /// The message's id.
    pub fn id(&self) -> MessageId {
        self.message.id()
    }

    /// The head that the sender had.
    pub fn head(&self) -> Head {
        self.message.head()
    }

    /// The epoch whose key opens it; `None` in a room that is not encrypted.
    pub fn epoch(&self) -> Option<u64> {
        self.message.epoch()
    }

    /// The subject it was signed for.
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// What the log says about the time it was written.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Decrypts the payload with the key of [`epoch`](Self::epoch).
    ///
    /// In a room that is not encrypted the payload is returned as it came and `key` is not used.
    pub fn open(&self, key: Option<&EpochKey>) -> Result<Vec<u8>, MessageRejection> {
        let payload = self.message.payload.as_ref();
        match self.epoch() {
            None => Ok(payload.to_vec()),
            Some(n) => {
                let key = key.ok_or(MessageRejection::KeyMissing(n))?;
                decrypt(key, &self.message.signed, payload).ok_or(MessageRejection::Undecryptable)
            }
        }
    }

    /// The payload as it came over the wire: in a room that is not encrypted, the message itself.
    pub fn into_wire_payload(self) -> P {
        self.message.payload
    }
}
