//! Requests to the bus on the data plane: asked at a subject where only this identity may publish, answered in its inbox.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use control_api::history::{Operation, RpcErrorCode, RpcSubject, header};
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::history::Origin;
use crate::room::Room;

/// An answer has about 1 MiB and one message more, or so many messages of work.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// One stored message as it came.
pub(crate) struct Kept {
    pub(crate) seq: u64,
    /// Unix milliseconds.
    pub(crate) stored_at: u64,
    pub(crate) origin: Option<Origin>,
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
    let session = bus.session();
    let _in_use = session.hold();
    let nats = session.client();
    let asked = async {
        let inbox = nats.new_inbox();
        let answers = nats.subscribe(inbox.clone()).await.map_err(|source| closed(source.to_string()))?;
        let asked = nats.publish_with_reply(subject, inbox, Bytes::from(body)).await;
        asked.map_err(|source| closed(source.to_string()))?;
        Ok(answers)
    };
    let mut answers = bus.accepted(asked).await?;
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
        let origin = origin(number(header::ORIGIN_SEQ), value(header::ORIGIN_TIME), stored_at);
        self.messages.push(Kept { seq, stored_at, origin, subject, headers, payload: message.payload });
        Ok(false)
    }
}

/// Where a message was before, as its headers say. What is not well formed, or lies after it came here, says nothing.
fn origin(seq: Option<u64>, time: Option<&str>, stored_at: u64) -> Option<Origin> {
    let time: jiff::Timestamp = time?.parse().ok()?;
    let stored_before = u64::try_from(time.as_millisecond()).ok()?;
    (stored_before <= stored_at).then_some(Origin { seq: seq?, stored_at: stored_before })
}

/// The number that the bus gave a message which it was asked to store, or why it did not.
pub(crate) fn stored_at(answer: &async_nats::Message) -> Result<u64> {
    if answer.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
        return Err(Error::new(ErrorKind::Unavailable, "the bus stores nothing now: try again"));
    }
    let value = |name: &str| answer.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str);
    if let Some(code) = value(header::ERROR) {
        return Err(refused(code, &answer.payload));
    }
    let seq = value(header::SEQ).filter(|_| value(header::DONE).is_some());
    seq.and_then(|seq| seq.parse().ok())
        .filter(|seq| *seq > 0)
        .ok_or_else(|| Error::new(ErrorKind::Protocol, "the bus did not say whether it stored the message"))
}

fn refused(code: &str, detail: &[u8]) -> Error {
    if RpcErrorCode::from_text(code) == Some(RpcErrorCode::StorageFull) {
        let detail = "the message was not stored, the disk of the bus is full: whoever is connected got it, nobody will \
                      read it later; ask the operator of the bus to make room, then send it again";
        return Error::new(ErrorKind::StorageFull, detail);
    }
    let kind = match RpcErrorCode::from_text(code) {
        Some(RpcErrorCode::NotAMember) => ErrorKind::NotAMember,
        Some(RpcErrorCode::NotAWriter) => ErrorKind::NotPermitted,
        Some(RpcErrorCode::NoHistory) => ErrorKind::NoHistory,
        Some(RpcErrorCode::NoTraffic) => ErrorKind::RoomFrozen,
        Some(RpcErrorCode::NoSuchConsumer) => ErrorKind::NotFound,
        Some(RpcErrorCode::NotDelivered) => ErrorKind::Conflict,
        Some(RpcErrorCode::TooLarge) => ErrorKind::Invalid,
        Some(RpcErrorCode::NotKept | RpcErrorCode::Busy | RpcErrorCode::Unavailable) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Forbidden,
    };
    let detail = std::str::from_utf8(detail).ok().filter(|text| !text.is_empty() && text.len() < 200);
    Error::new(kind, format!("the bus refuses: {}", detail.unwrap_or("it does not say why")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&str, &str)]) -> Result<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        stored_at(&async_nats::Message {
            subject: "_INBOX_U.x".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        })
    }

    #[test]
    fn where_a_message_was_before_is_shown_when_it_can_be_so() {
        let moved_at = 1_700_000_000_000;
        let before = Some("2023-11-14T22:13:19.5Z");
        assert_eq!(origin(Some(7), before, moved_at), Some(Origin { seq: 7, stored_at: moved_at - 500 }));
        assert_eq!(origin(Some(7), Some("2023-11-14T22:13:20.001Z"), moved_at), None, "that is later");
        assert_eq!(origin(Some(7), Some("1969-12-31T23:59:59Z"), moved_at), None);
        assert_eq!(origin(Some(7), Some("yesterday"), moved_at), None);
        assert_eq!((origin(None, before, moved_at), origin(Some(7), None, moved_at)), (None, None));
    }

    #[test]
    fn what_does_not_say_stored_is_not_taken_for_it() {
        let done = (header::DONE, "publish");
        assert_eq!(answer(&[(header::SEQ, "7"), done]).unwrap(), 7);
        let kind = |headers: &[(&str, &str)]| answer(headers).unwrap_err().kind();
        assert_eq!(kind(&[(header::SEQ, "7")]), ErrorKind::Protocol);
        assert_eq!(kind(&[(header::SEQ, "0"), done]), ErrorKind::Protocol);
        assert_eq!(kind(&[done]), ErrorKind::Protocol);
        assert_eq!(kind(&[]), ErrorKind::Protocol);
        assert_eq!(
            kind(&[(header::ERROR, "storage_full"), (header::SEQ, "7"), done]),
            ErrorKind::StorageFull
        );
        assert_eq!(kind(&[(header::ERROR, "too_large")]), ErrorKind::Invalid);
        assert_eq!(kind(&[(header::ERROR, "a_new_one")]), ErrorKind::Forbidden);
    }
}
