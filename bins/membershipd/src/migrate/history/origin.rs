//! What a moved message says of where it was before, and how streams are read from one end to the other.

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use control_api::history::header::{ORIGIN_SEQ, ORIGIN_TIME};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use room_protocol::RoomId;

const MESSAGE_ID: &str = "Nats-Msg-Id";
const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// What told a server what to do with a message when it was stored.
const ONCE: [&str; 5] = ["nats-expected-", "nats-rollup", "nats-ttl", "nats-batch-", "nats-schedule"];

/// Messages read at a time, and how long the server has for them.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 4 << 20;
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// After which the server forgets a consumer that was not removed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// A message of a stream.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) seq: u64,
    pub(super) time: SystemTime,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// The number that a moved message had; `None` for any other message.
pub(super) fn origin(headers: &HeaderMap) -> Option<u64> {
    headers.get(ORIGIN_SEQ)?.as_str().parse().ok()
}

/// The headers of a message where it is moved to, on top of the message `last`.
pub(super) fn moved_headers(message: &Stored, room: &RoomId, last: u64, has_used_id: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in message.headers.iter() {
        let text: &str = name.as_ref();
        let lower = text.to_ascii_lowercase();
        if !ONCE.iter().any(|prefix| lower.starts_with(prefix)) {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    if has_used_id || headers.get(MESSAGE_ID).is_none() {
        headers.insert(MESSAGE_ID, format!("mig-{room}-{}", message.seq));
    }
    headers.insert(ORIGIN_SEQ, message.seq.to_string());
    if let Ok(time) = Timestamp::try_from(message.time) {
        headers.insert(ORIGIN_TIME, time.to_string());
    }
    headers.insert(EXPECTED_SEQUENCE, last.to_string());
    headers
}

/// The messages of a stream from some number on, in their order, a batch at a time.
pub(super) struct Reading {
    consumer: async_nats::jetstream::consumer::Consumer<pull::Config>,
    left: u64,
}

impl Reading {
    pub(super) async fn from(stream: &Stream<()>, first: u64) -> Result<Self, String> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first.max(1) },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
        let left = consumer.cached_info().num_pending;
        Ok(Self { consumer, left })
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// The next messages; none at the end.
    pub(super) async fn batch(&mut self) -> Result<Vec<Stored>, String> {
        let mut batch = Vec::new();
        if self.is_at_end() {
            return Ok(batch);
        }
        let fetch = self.consumer.fetch().max_messages(BATCH).max_bytes(BATCH_BYTES).expires(BATCH_TIMEOUT);
        let mut messages = fetch.messages().await.map_err(|error| error.to_string())?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| error.to_string())?;
            let place = message.info().map_err(|error| error.to_string())?;
            batch.push(Stored {
                seq: place.stream_sequence,
                time: SystemTime::from(place.published),
                subject: message.subject.to_string(),
                headers: message.headers.clone().unwrap_or_default(),
                payload: message.payload.clone(),
            });
            self.left = place.pending;
        }
        if batch.is_empty() { Err("messages did not arrive".to_owned()) } else { Ok(batch) }
    }
}
