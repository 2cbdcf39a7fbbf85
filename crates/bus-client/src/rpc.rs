//! Requests to the bus on the data plane: asked at a subject where only this identity may publish, answered in its inbox.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use control_api::history::{Operation, RpcErrorCode, RpcSubject, header};
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::room::Room;

/// An answer has about 1 MiB and one message more, or so many messages of work.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// One stored message as it came.
pub(crate) struct Kept {
    pub(crate) seq: u64,
    /// Unix milliseconds.
    pub(crate) stored_at: u64,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// A row of messages, and what the last one says.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) messages: Vec<Kept>,
    /// The number to go on with, in an answer about history.
    pub(crate) next: u64,
    /// How many messages are stored beyond.
    pub(crate) more: u64,
    bytes: usize,
}

/// Asks, and takes at most `max` messages. The first may take `wait` longer than any other answer.
pub(crate) async fn ask(
    room: &Room,
    operation: Operation,
    request: &impl Serialize,
    max: u64,
    wait: Duration,
) -> Result<Answer> {
    let bus = &room.core.bus;
    bus.connected().await?;
    let closed =
        |source: String| Error::new(ErrorKind::Closed, "the connection is closed").with_source(source);
    let subject = RpcSubject { user: bus.user, room: room.id(), operation }.to_string();
    let body = serde_json::to_vec(request).map_err(|source| {
        Error::new(ErrorKind::Invalid, "the request cannot be written").with_source(source)
    })?;
    let inbox = bus.nats.new_inbox();
    let mut answers = bus.nats.subscribe(inbox.clone()).await.map_err(|source| closed(source.to_string()))?;
    let asked = bus.nats.publish_with_reply(subject, inbox, Bytes::from(body)).await;
    asked.map_err(|source| closed(source.to_string()))?;
    let mut answer = Answer::default();
    // The first message may take as long as was asked for; then they come in a row.
    let mut patience = bus.tuning.request_timeout + wait;
    loop {
        let message = tokio::select! {
            () = bus.stop.cancelled() => return Err(Error::closed()),
            message = tokio::time::timeout(patience, answers.next()) => message,
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => return Err(Error::closed()),
            Err(_) => return Err(Error::new(ErrorKind::Timeout, "the bus did not answer in time")),
        };
        patience = bus.tuning.request_timeout;
        if answer.add(message, max)? {
            return Ok(answer);
        }
    }
}

impl Answer {
    /// Takes one message. Answers whether it was the last.
    fn add(&mut self, message: async_nats::Message, max: u64) -> Result<bool> {
        if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
            let detail = "this bus does not answer requests about what rooms keep";
            return Err(Error::new(ErrorKind::Unavailable, detail));
        }
        let headers = message.headers.unwrap_or_default();
        let value = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
        let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
        if let Some(code) = value(header::ERROR) {
            return Err(refused(code, &message.payload));
        }
        if let Some(next) = number(header::END) {
            self.next = next;
            self.more = number(header::MORE).unwrap_or(0);
            return Ok(true);
        }
        if value(header::DONE).is_some() {
            return Ok(true);
        }
        let (Some(seq), Some(time), Some(subject)) =
            (number(header::SEQ), value(header::TIME), value(header::SUBJECT))
        else {
            return Err(Error::new(ErrorKind::Protocol, "the bus sent something else than stored messages"));
        };
        self.bytes += message.payload.len() + message.length;
        if self.messages.len() as u64 >= max || self.bytes > ANSWER_BYTES {
            return Err(Error::new(ErrorKind::Protocol, "the bus sent more messages than were asked for"));
        }
        let time: jiff::Timestamp = time.parse().map_err(|source| {
            Error::new(ErrorKind::Protocol, "the bus stored a message at no time").with_source(source)
        })?;
        let (stored_at, subject) = (u64::try_from(time.as_millisecond()).unwrap_or(0), subject.to_owned());
        self.messages.push(Kept { seq, stored_at, subject, headers, payload: message.payload });
        Ok(false)
    }
}

fn refused(code: &str, detail: &[u8]) -> Error {
    let kind = match RpcErrorCode::from_text(code) {
        Some(RpcErrorCode::NotAMember) => ErrorKind::NotAMember,
        Some(RpcErrorCode::NotAWriter) => ErrorKind::NotPermitted,
        Some(RpcErrorCode::NoHistory) => ErrorKind::NoHistory,
        Some(RpcErrorCode::NoTraffic) => ErrorKind::RoomFrozen,
        Some(RpcErrorCode::NoSuchConsumer) => ErrorKind::NotFound,
        Some(RpcErrorCode::NotDelivered) => ErrorKind::Conflict,
        Some(RpcErrorCode::Busy | RpcErrorCode::Unavailable) => ErrorKind::Unavailable,
        _ => ErrorKind::Forbidden,
    };
    let detail = std::str::from_utf8(detail).ok().filter(|text| !text.is_empty() && text.len() < 200);
    Error::new(kind, format!("the bus refuses: {}", detail.unwrap_or("it does not say why")))
}
