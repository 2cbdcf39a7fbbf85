//! From what NATS delivered to a message: parse, verify, compare with the log, check freshness, decrypt.

use async_nats::HeaderMap;
use busauth::{Handle, UserId};
use bytes::Bytes;
use room_protocol::message::{Arrival, Freshness, PermittedMessage, SignedMessage, Standing};
use room_protocol::{MessageHeaders, MessageRejection, RoomLog, is_reply_subject};

use std::collections::BTreeMap;
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
            return unverified(room, subject, wire.payload, reply, unix_millis());
        };
        let signed = headers
            .verify_signature(&room.id, &subject, wire.payload)
            .map_err(|rejection| MessageError::new(rejection).at(&subject))?;
        let (from, id) = (signed.from(), signed.id());
        let refuse = |error: MessageError| error.at(&subject).signed(from, id);
        let permitted = self.permit(room, signed).await.map_err(refuse)?;
        let payload = open(room, &permitted).await.map_err(refuse)?;
        let handle = handle_of(room, from, permitted.head().seq);
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

/// A message as the bus keeps it.
pub(crate) struct Kept {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    /// When a bus stored it first, Unix milliseconds.
    pub(crate) stored_at: u64,
}

/// What is kept, as a message of whatever age, or exactly why it is none. `keyless` has the epochs whose keys cannot be
/// had, and why.
pub(crate) async fn receive_stored(
    room: &Arc<RoomCore>,
    kept: Kept,
    keyless: &mut BTreeMap<u64, MessageError>,
) -> Result<Message, MessageError> {
    let Kept { subject, headers, payload, stored_at } = kept;
    // Replies are never stored, so what is kept at a reply subject was put there.
    if !room.view().state().subject().covers(&subject) {
        return Err(MessageError::new(MessageRejection::OutsideRoom).at(&subject));
    }
    let headers = MessageHeaders::parse(pairs(Some(&headers)))
        .map_err(|error| MessageError::new(MessageRejection::from(error)).at(&subject))?;
    let Some(headers) = headers else { return unverified(room, subject, payload, None, stored_at) };
    let signed = headers
        .verify_signature(&room.id, &subject, payload)
        .map_err(|rejection| MessageError::new(rejection).at(&subject))?;
    let (from, id) = (signed.from(), signed.id());
    let refuse = |error: MessageError| error.at(&subject).signed(from, id);
    let log = log_for(room, &signed).await.map_err(refuse)?;
    let permitted = signed.check(&log, Arrival::History).map_err(|rejection| {
        if let MessageRejection::Forked(fork) = &rejection {
            room.report_fork(*fork, from);
        }
        refuse(MessageError::new(rejection))
    })?;
    if let Some(error) = permitted.epoch().and_then(|epoch| keyless.get(&epoch)) {
        return Err(refuse(error.clone()));
    }
    let payload = match (open(room, &permitted).await, permitted.epoch()) {
        (Ok(payload), _) => payload,
        (Err(error), Some(epoch)) if matches!(error.kind(), MessageErrorKind::Key(_)) => {
            keyless.insert(epoch, error.clone());
            return Err(refuse(error));
        }
        (Err(error), _) => return Err(refuse(error)),
    };
    Ok(Message {
        from: Some(from),
        handle: handle_of(room, from, permitted.head().seq),
        subject,
        payload,
        id: Some(id),
        at: id.timestamp_ms(),
        trust: Trust::Verified,
        standing: permitted.standing(),
        reply: None,
        room: room.clone(),
    })
}

/// What the log calls a sender: now, or when the message was written if the sender has left since.
fn handle_of(room: &RoomCore, from: UserId, written_on: u64) -> Option<Handle> {
    let view = room.view();
    view.state()
        .member(&from)
        .map(|member| member.handle.clone())
        .or_else(|| view.log().state_at(written_on)?.member(&from).map(|member| member.handle.clone()))
        .filter(|handle| room.bus.pins().check_handle(handle, from).is_ok())
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
    at: u64,
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
        at,
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
