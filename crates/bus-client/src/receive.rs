//! From what NATS delivered to a message: parse, verify, compare with the log, check freshness, decrypt.

use async_nats::HeaderMap;
use bytes::Bytes;
use room_protocol::message::{Arrival, Freshness, PermittedMessage, SignedMessage, Standing};
use room_protocol::{MessageHeaders, MessageRejection, RoomLog, is_reply_subject};

use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::message::{Message, MessageError, MessageErrorKind, Trust};
use crate::room::{RoomCore, unix_millis};

/// The receiving end of one subscription: what it has seen already.
///
/// Every subscription gets its own copy of each message, so each has a window of its own; the room's window collects what
/// all of them have seen, for the next start. NATS keeps the order within a subscription only, so heads are compared
/// there and nowhere else.
pub(crate) struct Receiver {
    seen: Freshness,
    /// Which history of the room the heads in `seen` are of.
    history: u64,
}

impl Receiver {
    /// Make it before the subscription is sent: then nothing that the room's window knows can still arrive rightfully.
    pub(crate) fn new(room: &RoomCore) -> Self {
        Self { history: room.history(), seen: room.seen() }
    }

    /// What arrived, as a message, or exactly why it is none.
    pub(crate) async fn receive(
        &mut self,
        room: &Arc<RoomCore>,
        wire: async_nats::Message,
    ) -> Result<Message, MessageError> {
        let subject = wire.subject.to_string();
        let headers = MessageHeaders::parse(pairs(wire.headers.as_ref()))
            .map_err(|error| MessageError::new(MessageRejection::from(error)).at(&subject))?;
        let reply =
            wire.reply.map(|reply| reply.to_string()).filter(|reply| is_reply_subject(&room.id, reply));
        let Some(headers) = headers else {
            return unverified(room, subject, wire.payload, reply);
        };
        let signed = headers
            .verify_signature(&room.id, &subject, wire.payload)
            .map_err(|rejection| MessageError::new(rejection).at(&subject))?;
        let (from, id) = (signed.from(), signed.id());
        let refuse = |error: MessageError| error.at(&subject).signed(from, id);
        let permitted = self.permit(room, signed).await.map_err(refuse)?;
        let payload = open(room, &permitted).await.map_err(refuse)?;
        let view = room.view();
        // A sender who has left since is still known by the log as it was.
        let handle = view
            .state()
            .member(&from)
            .map(|member| member.handle.clone())
            .or_else(|| {
                view.log().state_at(permitted.head().seq)?.member(&from).map(|member| member.handle.clone())
            })
            .filter(|handle| room.bus.pins().check_handle(handle, from).is_ok());
        Ok(Message {
            from: Some(from),
            handle,
            subject,
            payload,
            id: Some(id),
            at: id.timestamp_ms(),
            trust: Trust::Verified,
            standing: permitted.standing(),
            reply,
            room: room.clone(),
        })
    }

    async fn permit(
        &mut self,
        room: &RoomCore,
        signed: SignedMessage<Bytes>,
    ) -> Result<PermittedMessage<Bytes>, MessageError> {
        // Before the log is looked at, which belongs to this history or to a later one.
        let history = room.history();
        if std::mem::replace(&mut self.history, history) != history {
            self.seen.forget_heads();
        }
        let log = log_for(room, &signed).await?;
        let now = unix_millis();
        let from = signed.from();
        let again = signed.clone();
        let permitted =
            signed.check(&log, Arrival::Live { now, freshness: &mut self.seen }).map_err(|rejection| {
                if let MessageRejection::Forked(fork) = &rejection {
                    room.report_fork(*fork, from);
                }
                MessageError::new(rejection)
            })?;
        room.note_seen(|seen| {
            // Another subscription may have noted the same message before.
            drop(again.check(&log, Arrival::Live { now, freshness: seen }));
        });
        Ok(permitted)
    }
}

/// The log as far as the sender knew it, fetched if need be. Only a message with a valid signature gets this far.
async fn log_for(room: &RoomCore, signed: &SignedMessage<Bytes>) -> Result<Arc<RoomLog>, MessageError> {
    let log = room.view().log().clone();
    if !signed.needs_head(&log) {
        return Ok(log);
    }
    let log = match room.sync().await {
        Ok(view) => view.log().clone(),
        Err(error) if error.kind() == ErrorKind::LogWithheld => {
            return Err(MessageError::new(MessageErrorKind::LogWithheld).because(error));
        }
        Err(error) => return Err(MessageError::new(MessageErrorKind::Unchecked(error.kind())).because(error)),
    };
    if signed.needs_head(&log) {
        return Err(MessageError::new(MessageErrorKind::LogWithheld));
    }
    Ok(log)
}

async fn open(room: &RoomCore, permitted: &PermittedMessage<Bytes>) -> Result<Bytes, MessageError> {
    let key = match permitted.epoch() {
        Some(n) => Some(room.epoch_key(n).await.map_err(key_error)?),
        None => None,
    };
    permitted.open(key.as_ref()).map(Bytes::from).map_err(MessageError::new)
}

fn key_error(error: Error) -> MessageError {
    let kind = match error.kind() {
        kind @ (ErrorKind::KeyMissing | ErrorKind::KeyMismatch) => MessageErrorKind::Key(kind),
        kind => MessageErrorKind::Unchecked(kind),
    };
    MessageError::new(kind).because(error)
}

/// A message of a plain NATS client, which only a room without encryption takes.
fn unverified(
    room: &Arc<RoomCore>,
    subject: String,
    payload: Bytes,
    reply: Option<String>,
) -> Result<Message, MessageError> {
    if room.is_encrypted() {
        return Err(MessageError::new(MessageRejection::Unsigned).at(&subject));
    }
    Ok(Message {
        from: None,
        handle: None,
        subject,
        payload,
        id: None,
        at: unix_millis(),
        trust: Trust::Unverified,
        standing: Standing::Current,
        reply,
        room: room.clone(),
    })
}

fn pairs(headers: Option<&HeaderMap>) -> impl Iterator<Item = (&str, &str)> {
    headers
        .into_iter()
        .flat_map(HeaderMap::iter)
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
}
