//! A consumer as clients see it.

use serde::Serialize;

use super::{Consumer, progress::Place};
use crate::{
    broker::COMPATIBLE_VERSION,
    jetstream::{api::API_LEVEL, clock, consumer_config::ConsumerConfig},
};

/// A consumer at one moment.
#[derive(Serialize)]
pub(crate) struct ConsumerInfo {
    stream_name: String,
    name: String,
    created: String,
    pub(crate) config: ConsumerConfig,
    delivered: SequenceInfo,
    ack_floor: SequenceInfo,
    num_ack_pending: usize,
    num_redelivered: usize,
    num_waiting: usize,
    num_pending: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    push_bound: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_remaining: Option<i64>,
    ts: String,
}

#[derive(Serialize)]
struct SequenceInfo {
    consumer_seq: u64,
    stream_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active: Option<String>,
}

impl SequenceInfo {
    fn of(place: Place, last: i64) -> Self {
        Self {
            consumer_seq: place.consumer,
            stream_seq: place.stream,
            last_active: (last > 0).then(|| clock::rfc3339(last)),
        }
    }
}

impl Consumer {
    /// It at this moment.
    pub(crate) fn info(&self) -> ConsumerInfo {
        let mut info = self.listed();
        let metadata = &mut info.config.metadata;
        metadata.insert("_nats.ver".to_owned(), COMPATIBLE_VERSION.to_owned());
        metadata.insert("_nats.level".to_owned(), API_LEVEL.to_string());
        info
    }

    /// It at this moment, as lists show it.
    pub(crate) fn listed(&self) -> ConsumerInfo {
        let config = (*self.config()).clone();
        let now = clock::now();
        let push_bound = self.is_bound(&config);
        let state = self.state.lock();
        let waits = |reply: &str| self.index.has_interest(reply);
        let num_waiting =
            state.waiting.iter().filter(|waiting| !waiting.is_expired(now) && waits(&waiting.reply)).count();
        let progress = &state.progress;
        let pause_remaining = config.pause_until.map(|until| until.0 - now).filter(|rest| *rest > 0);
        ConsumerInfo {
            stream_name: self.stream.name.to_string(),
            name: self.name.to_string(),
            created: clock::rfc3339(self.created),
            delivered: SequenceInfo::of(progress.delivered, progress.last_delivered),
            ack_floor: SequenceInfo::of(progress.floor, progress.last_acked),
            num_ack_pending: progress.num_ack_pending(),
            // What may be delivered once is not delivered again, though it is remembered that it was tried.
            num_redelivered: if config.max_deliver() == Some(1) { 0 } else { progress.num_redelivered() },
            num_waiting,
            num_pending: progress.num_pending,
            push_bound,
            paused: pause_remaining.is_some(),
            pause_remaining,
            ts: clock::rfc3339(now),
            config,
        }
    }
}
