//! Reads pages of a room's stream by direct get: one request, no consumer, nothing left behind.

use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::{Client, HeaderValue, StatusCode};
use bytes::Bytes;
use control_api::Timestamp;
use control_api::history::{RpcErrorCode, header};
use futures_util::StreamExt as _;
use room_protocol::RoomId;
use serde::Serialize;

use super::answer::Outgoing;
use crate::data_plane::stream_name;

/// A page ends after about so many bytes. At least the largest message, so that each fits in a page.
const PAGE_BYTES: u64 = 1024 * 1024;
/// How long the next message of a page may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the server adds to the headers of a message, behind those that the publisher set.
const STREAM: &str = "Nats-Stream";
const SUBJECT: &str = "Nats-Subject";
const SEQ: &str = "Nats-Sequence";
const TIME: &str = "Nats-Time-Stamp";
const PENDING: &str = "Nats-Num-Pending";
const LAST: &str = "Nats-Last-Sequence";
const ADDED: [&str; 6] = [STREAM, SUBJECT, SEQ, TIME, PENDING, LAST];

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    Seq(u64),
    Time(Timestamp),
}

/// Messages in order, and what is behind them.
#[derive(Default)]
pub(super) struct Page {
    pub(super) messages: Vec<Outgoing>,
    /// The number of the first message.
    pub(super) first: Option<u64>,
    /// The number of the last message.
    pub(super) last: Option<u64>,
    /// Messages beyond.
    pub(super) more: u64,
}

#[derive(Serialize)]
struct DirectGet {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    batch: u64,
    max_bytes: u64,
}

/// Reads one page.
pub(super) async fn read(
    client: &Client,
    room: &RoomId,
    begin: Begin,
    max: u64,
) -> Result<Page, RpcErrorCode> {
    let request = match begin {
        Begin::Seq(seq) => DirectGet { seq: Some(seq), start_time: None, batch: max, max_bytes: PAGE_BYTES },
        Begin::Time(time) => {
            DirectGet { seq: None, start_time: Some(time.to_string()), batch: max, max_bytes: PAGE_BYTES }
        }
    };
    let body = serde_json::to_vec(&request).map_err(|_| RpcErrorCode::Unavailable)?;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|_| RpcErrorCode::Unavailable)?;
    let subject = format!("$JS.API.DIRECT.GET.{}", stream_name(room));
    let sent = client.publish_with_reply(subject, inbox, Bytes::from(body)).await;
    sent.map_err(|_| RpcErrorCode::Unavailable)?;
    let mut page = Page::default();
    loop {
        let answer = tokio::time::timeout(PATIENCE, answers.next()).await;
        let Ok(Some(answer)) = answer else { return Err(RpcErrorCode::Unavailable) };
        match answer.status {
            None => page.add(answer.headers.as_ref(), answer.payload)?,
            Some(status) if status.as_u16() == 204 => return Ok(page),
            Some(StatusCode::NOT_FOUND) => return Ok(page),
            Some(status) => {
                tracing::warn!(%room, ?status, text = ?answer.description, "a room's stream cannot be read");
                return Err(RpcErrorCode::Unavailable);
            }
        }
    }
}

impl Page {
    fn add(&mut self, headers: Option<&HeaderMap>, body: Bytes) -> Result<(), RpcErrorCode> {
        let headers = headers.ok_or(RpcErrorCode::Unavailable)?;
        // The last value is the server's; a publisher may have set one before it.
        let added = |name: &str| headers.get_all(name).last().map(HeaderValue::as_str);
        let number = |name: &str| added(name).and_then(|text| text.parse::<u64>().ok());
        let (Some(seq), Some(time), Some(subject)) = (number(SEQ), added(TIME), added(SUBJECT)) else {
            return Err(RpcErrorCode::Unavailable);
        };
        let mut original = HeaderMap::new();
        for (name, values) in headers.iter().filter(|(name, _)| !ADDED.contains(&name.as_ref())) {
            for value in values {
                original.append(name.clone(), value.clone());
            }
        }
        self.first.get_or_insert(seq);
        self.last = Some(seq);
        self.more = number(PENDING).unwrap_or(0);
        let stored = [
            (header::SEQ, seq.to_string()),
            (header::TIME, time.to_owned()),
            (header::SUBJECT, subject.to_owned()),
        ];
        let stored = stored.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.messages.push(Outgoing::stored(Some(&original), body, &stored));
        Ok(())
    }
}
