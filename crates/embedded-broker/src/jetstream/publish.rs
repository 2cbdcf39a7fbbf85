//! A stream takes a message: what has to hold, and the sequence it gets.
//!
//! This runs on the publisher's own thread, under the stream's mutex, and touches no disk. What it decides it decides
//! against everything that has a sequence, written or not; the acknowledgement follows when the message is written.

mod checks;

use std::sync::Arc;

use bytes::Bytes;

use super::{
    acknowledgement,
    api_error::ApiError,
    clock,
    commit::{Item, Publish, Rollup, Seen, Skip},
    headers::{FIRST_LINE, Headers},
    store::{MAX_DATA, MAX_SUBJECT, Record, Seq},
    stream::{Stream, StreamState, message_bytes},
    stream_config::{Discard, Retention, Storage, StreamConfig},
    ttl::{self, Ttl},
};
use crate::{
    pressure::Pressure,
    routing::{Inbound, Sink, Taken},
};

use checks::Conditions;

/// Largest header block of a stored message, in bytes.
const MAX_HEADERS: usize = 64 * 1024 - 1;

/// Sequences that are looked at to find what a message replaces.
const MAX_REPLACED: usize = 256;

/// The receiving end of a stream, in the index of subscriptions.
pub(crate) struct StreamSink(pub(crate) Arc<Stream>);

impl Sink for StreamSink {
    fn offer(&self, message: &Inbound<'_>) -> Taken {
        let reply = message.reply.and_then(|reply| std::str::from_utf8(reply).ok());
        match self.0.take(message, reply) {
            None => Taken::No,
            Some(None) => Taken::Yes,
            Some(Some(pressure)) => Taken::Pressed(pressure),
        }
    }

    fn batch_ends(&self) {
        self.0.commit.nudge();
    }
}

impl Stream {
    /// Takes a message, or says why not. Answers whom to wait for when too much waits already; `None` when the stream is
    /// gone.
    #[expect(clippy::option_option, reason = "not taken, and nobody to wait for, are two things")]
    fn take(self: &Arc<Self>, message: &Inbound<'_>, reply: Option<&str>) -> Option<Option<Arc<Pressure>>> {
        let config = self.config();
        let reply: Option<Box<str>> = reply.filter(|_| !config.no_ack).map(Into::into);
        // Queued under the state's lock, so that sequences are queued in their order.
        let mut state = self.state.lock();
        if self.is_closed() {
            return None;
        }
        let item = match self.judge(&mut state, &config, message, reply.clone()) {
            Ok(item) => item,
            Err(error) => {
                let body = acknowledgement::refused(&self.name, &error).into();
                reply.map(|to| Item::Reply(super::commit::Reply { to, body }))
            }
        };
        Some(item.and_then(|item| self.commit.push_in_batch(item)))
    }

    /// Decides what becomes of a message. Nothing when it was taken before and nobody wants to know.
    fn judge(
        self: &Arc<Self>,
        state: &mut StreamState,
        config: &StreamConfig,
        message: &Inbound<'_>,
        reply: Option<Box<str>>,
    ) -> Result<Option<Item>, ApiError> {
        if config.sealed {
            return Err(ApiError::stream_sealed());
        }
        if state.is_reloading {
            return Err(ApiError::store_failed("the message could not be stored"));
        }
        let most = config.max_msg_size().unwrap_or(u64::MAX).min(MAX_DATA as u64);
        if message.body.len() as u64 > most {
            return Err(ApiError::message_exceeds_maximum());
        }
        // Here, and not when it is stored: that would refuse everything else of its group.
        if message.subject.len() > MAX_SUBJECT {
            return Err(ApiError::store_failed("the subject is too long to be stored"));
        }
        let headers = Headers::new(message.header_len, message.body);
        let conditions = Conditions::read(headers)?;
        let now = clock::now().max(state.assigned.last_time);
        conditions.check_before(self, state, config, message.subject)?;
        if let Some(id) = conditions.msg_id
            && let Some(seq) = state.dedupe.find(id, now, config.duplicate_window())
        {
            let stream = Arc::clone(self);
            return Ok(reply.map(|reply| Item::Seen(Seen { stream, epoch: self.epoch(), seq, reply })));
        }
        conditions.check_after(state)?;
        let rollup = conditions.rollup(config)?;
        if message.header_len > MAX_HEADERS {
            return Err(ApiError::header_exceeds_maximum());
        }
        let seq =
            state.next_seq().ok_or_else(|| ApiError::store_failed("no sequence is left in the stream"))?;
        let (epoch, stream) = (self.epoch(), Arc::clone(self));
        if config.retention == Retention::Interest && !self.is_wanted(message.subject) {
            state.assigned.last_seq = seq;
            state.assigned.last_time = now;
            remember(state, config, conditions.msg_id, seq, now);
            let rollup = rollup.map(|rollup| (rollup, Arc::from(message.subject)));
            return Ok(Some(Item::Skip(Skip { stream, epoch, seq, time: now, rollup, reply })));
        }
        let mut record = record(message, headers, now);
        let mut expires = None;
        if let Some(asked) = conditions.ttl()?
            && let Some(life) = asked.life(config)
        {
            expires = Some(now.saturating_add(life));
            if asked != Ttl::After(life) {
                record = with_ttl(record, life);
            }
        }
        let bytes = message_bytes(self.storage, &record);
        self.check_limits(state, config, &record, bytes, rollup)?;
        self.usage.reserve(self.storage, bytes)?;
        remember(state, config, conditions.msg_id, seq, now);
        state.assigned.add(seq, &record, bytes);
        Ok(Some(Item::Message(Publish { stream, epoch, seq, record, expires, rollup, reply })))
    }

    /// Whether there is room, for a stream that refuses new messages when it is full.
    fn check_limits(
        &self,
        state: &StreamState,
        config: &StreamConfig,
        record: &Record,
        bytes: u64,
        rollup: Option<Rollup>,
    ) -> Result<(), ApiError> {
        if config.discard != Discard::New {
            return Ok(());
        }
        let of_subject = config.max_msgs_per_subject();
        let full = of_subject.is_some_and(|most| state.count_of(&record.subject) >= most);
        if full && config.discard_new_per_subject && rollup.is_none() {
            return Err(ApiError::store_failed("maximum messages per subject exceeded"));
        }
        // A message of a full subject takes the place of an older one.
        let messages = state.committed.totals.messages + state.assigned.messages;
        if config.max_msgs().is_some_and(|most| messages >= most) && !full {
            return Err(ApiError::store_failed("maximum messages exceeded"));
        }
        let too_much = config.max_bytes().is_some_and(|most| state.bytes() + bytes > most);
        if too_much && !(full && self.bytes_replaced(state, &record.subject).is_some_and(|old| old >= bytes))
        {
            return Err(ApiError::store_failed("maximum bytes exceeded"));
        }
        Ok(())
    }

    /// Bytes of the oldest message of a subject, as far as it is in memory: nothing is read from a disk here.
    fn bytes_replaced(&self, state: &StreamState, subject: &str) -> Option<u64> {
        let totals = state.committed.subjects.get(subject)?;
        let known = |seq| match self.storage {
            Storage::Memory => self.peek(seq).ok().flatten(),
            Storage::File => self.kept(seq),
        };
        let mut records = (totals.first..=totals.last).take(MAX_REPLACED).filter_map(known);
        let oldest = records.find(|record| *record.subject == *subject)?;
        Some(message_bytes(self.storage, &oldest))
    }

    /// Stores a message of the broker itself, past all conditions.
    pub(super) fn store_own(self: &Arc<Self>, subject: &Arc<str>, headers: &[u8], expires_after: i64) {
        let mut state = self.state.lock();
        let time = clock::now().max(state.assigned.last_time);
        let record = Record {
            subject: Arc::clone(subject),
            time,
            header_len: headers.len(),
            data: Bytes::copy_from_slice(headers),
        };
        if self.is_closed() {
            return;
        }
        let Some(seq) = state.next_seq() else { return };
        let bytes = message_bytes(self.storage, &record);
        // It takes the place of a message, and lives for a while only: the bound of all streams is not asked.
        self.usage.add(self.storage, bytes);
        state.assigned.add(seq, &record, bytes);
        let publish = Publish {
            stream: Arc::clone(self),
            epoch: self.epoch(),
            seq,
            record,
            expires: Some(time.saturating_add(expires_after)),
            rollup: Some(Rollup::Subject),
            reply: None,
        };
        let _pressure = self.commit.push(Item::Message(publish));
    }
}

/// Notes the message id, for those that come after.
fn remember(state: &mut StreamState, config: &StreamConfig, id: Option<&str>, seq: Seq, now: i64) {
    if let Some(id) = id.filter(|_| config.duplicate_window() > 0) {
        state.dedupe.add(id, seq, now);
    }
    state.assigned.last_msg_id = id.map(Into::into);
}

/// A message that lives longer than it asked for, and says so.
fn with_ttl(record: Record, life: i64) -> Record {
    let mut data = Headers::of(&record).with(ttl::TTL, &(life / 1_000_000_000).to_string());
    let header_len = data.len();
    data.extend_from_slice(&record.data[record.header_len..]);
    Record { header_len, data: data.into(), ..record }
}

/// What is stored: as it came, but for a status in the first line, which is only for whoever received it first.
fn record(message: &Inbound<'_>, headers: Headers<'_>, time: i64) -> Record {
    let subject = Arc::from(message.subject);
    let has_status =
        !headers.is_empty() && !message.body.starts_with(FIRST_LINE) && message.body.starts_with(b"NATS/1.0");
    if has_status {
        let mut data = FIRST_LINE.to_vec();
        data.extend_from_slice(headers.body());
        data.extend_from_slice(b"\r\n");
        let header_len = data.len();
        data.extend_from_slice(&message.body[message.header_len..]);
        return Record { subject, time, header_len, data: data.into() };
    }
    Record { subject, time, header_len: message.header_len, data: Bytes::copy_from_slice(message.body) }
}
