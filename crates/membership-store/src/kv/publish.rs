//! Sends one message to a bucket and says how that ended.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;

use super::elections::Elections;
use crate::StoreError;

/// The most that a value may be, whatever the server allows.
pub(super) const MAX_VALUE_BYTES: usize = 512 << 10;
/// What the protocol and our headers add to a value, at most.
const OVERHEAD_BYTES: usize = 1_024;

/// How long one message waits to be acknowledged before its fate is looked into.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A new leader is heard of before it takes anything, and what it has taken is acknowledged within this time.
const BY_NEW_LEADER: Duration = Duration::from_millis(100);

/// The first pause before a message is sent again, and the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

const WRITE_ID: &str = "Unibus-Write";

/// Tells a write from every other, so that it is found again when its acknowledgement was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteId(u128);

impl WriteId {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// The id of a message that was read.
    pub(super) fn of(headers: Option<&HeaderMap>) -> Option<Self> {
        u128::from_str_radix(headers?.get(WRITE_ID)?.as_str(), 16).ok().map(Self)
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A bucket, and where its keys are.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// What comes before a key in a subject.
    pub(super) prefix: String,
    pub(super) client: Client,
    pub(super) stream: Stream<()>,
    pub(super) elections: Elections,
}

/// What must be so for a message to be stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    /// Anything may be.
    Nothing,
    /// This is the last revision of the whole bucket.
    Last(u64),
    /// This is the last revision of the key; 0 is that there is none.
    LastOfKey(u64),
    /// Anything may be, but a message with the same id is stored once.
    Once,
}

/// How sending ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is stored, at this revision.
    Stored(u64),
    /// It is not stored: what was expected is not so.
    Unexpected,
    /// It is not stored, and sending it again would not help.
    Refused(StoreError),
    /// It may be stored, or may be stored yet.
    Unknown,
}

impl Bucket {
    /// How large a value may be.
    pub(super) fn max_value(&self) -> usize {
        match self.client.max_payload() {
            0 => MAX_VALUE_BYTES,
            bytes => MAX_VALUE_BYTES.min(bytes.saturating_sub(OVERHEAD_BYTES)),
        }
    }

    /// Sends one message and waits for its acknowledgement, once.
    pub(super) async fn send(
        &self,
        key: &(dyn fmt::Display + Sync),
        value: Bytes,
        expect: Expect,
        id: WriteId,
    ) -> Sent {
        let (bytes, limit) = (value.len(), self.max_value());
        if bytes > limit {
            tracing::error!(bytes, limit, %key, "a value is larger than the bus keeps in one message");
            return Sent::Refused(StoreError::TooLarge { bytes, limit });
        }
        let mut headers = HeaderMap::new();
        headers.insert(WRITE_ID, id.to_string());
        match expect {
            Expect::Nothing => {}
            Expect::Last(revision) => headers.insert("Nats-Expected-Last-Sequence", revision.to_string()),
            Expect::Once => headers.insert("Nats-Msg-Id", id.to_string()),
            Expect::LastOfKey(revision) => {
                headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
            }
        }
        let request = Request::new().payload(value).headers(headers).timeout(Some(ATTEMPT));
        let mut lookout = self.elections.lookout();
        let overtaken = async {
            lookout.elected().await;
            tokio::time::sleep(BY_NEW_LEADER).await;
        };
        let answer = tokio::select! {
            answer = self.client.send_request(format!("{}{key}", self.prefix), request) => answer,
            // The old leader may have stored it, but does not say so any more.
            () = overtaken => return Sent::Unknown,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, %key, "a message to the membership store was not acknowledged");
                return Sent::Unknown;
            }
        };
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            // A refusal that is not understood has a sequence, too: 0.
            Ok(Response::Ok(stored)) if stored.sequence > 0 => Sent::Stored(stored.sequence),
            Ok(Response::Err { error }) => refused(&error, limit),
            _ => Sent::Unknown,
        }
    }

    /// Sends a message that nothing contradicts until it is stored; answers its revision. The caller bounds the time.
    pub(super) async fn store(
        &self,
        key: &(dyn fmt::Display + Sync),
        value: Bytes,
    ) -> Result<u64, StoreError> {
        self.send_until_stored(key, value, Expect::Nothing).await
    }

    /// The same for a message that must be there once.
    pub(super) async fn store_once(
        &self,
        key: &(dyn fmt::Display + Sync),
        value: Bytes,
    ) -> Result<u64, StoreError> {
        self.send_until_stored(key, value, Expect::Once).await
    }

    async fn send_until_stored(
        &self,
        key: &(dyn fmt::Display + Sync),
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, StoreError> {
        let mut pause = SHORTEST_PAUSE;
        let id = WriteId::random();
        let mut lookout = self.elections.lookout();
        loop {
            match self.send(key, value.clone(), expect, id).await {
                Sent::Stored(revision) => return Ok(revision),
                Sent::Refused(error) => return Err(error),
                Sent::Unexpected | Sent::Unknown => {
                    let is_led_anew = lookout.elected_within(pause).await;
                    pause = if is_led_anew { SHORTEST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
                }
            }
        }
    }
}

fn refused(error: &jetstream::Error, limit: usize) -> Sent {
    match error.error_code() {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            Sent::Unexpected
        }
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => {
            tracing::error!(%error, "the stream of the membership store takes smaller messages only");
            Sent::Refused(StoreError::TooLarge { bytes: limit, limit })
        }
        // A limit of the stream, of the account or of the server, or the disk.
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => {
            tracing::error!(
                %error,
                "JetStream does not store what the membership store sends: is the disk of its directory full, or a limit reached?"
            );
            Sent::Refused(StoreError::Unavailable)
        }
        _ => {
            tracing::warn!(%error, "the membership store did not take a message");
            Sent::Unknown
        }
    }
}
