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
    commit::{Item, Operation, Publish, Rollup},
    headers::{FIRST_LINE, Headers},
    store::{Record, Seq},
    stream::{Stream, StreamState, message_bytes},
    stream_config::{Retention, StreamConfig},
    ttl::Ttl,
};
use crate::{
    pressure::Pressure,
    routing::{Inbound, Sink, Taken},
};

use checks::Conditions;

/// Largest header block of a stored message, in bytes.
const MAX_HEADERS: usize = 64 * 1024;

/// The receiving end of a stream, in the index of subscriptions.
pub(crate) struct StreamSink(pub(crate) Arc<Stream>);

/// What becomes of a message.
enum Verdict {
    /// It is stored under this sequence.
    Store(Box<Publish>),
    /// It was stored before.
    Duplicate(Seq),
    /// Nobody is interested in it: it takes a sequence and nothing else.
    Skip { seq: Seq, time: i64 },
}

impl Sink for StreamSink {
    fn offer(&self, message: &Inbound<'_>) -> Taken {
        if self.0.is_closed() {
            return Taken::No;
        }
        let reply = message.reply.and_then(|reply| std::str::from_utf8(reply).ok());
        let pressure = self.0.take(message, reply);
        pressure.map_or(Taken::Yes, Taken::Pressed)
    }
}

impl Stream {
    /// Takes a message, or says why not. Answers whom to wait for when too much waits already.
    fn take(self: &Arc<Self>, message: &Inbound<'_>, reply: Option<&str>) -> Option<Arc<Pressure>> {
        let config = self.config();
        let reply = reply.filter(|_| !config.no_ack);
        // Queued under the state's lock, so that sequences are queued in their order.
        let mut state = self.state.lock();
        let verdict = self.judge(&mut state, &config, message, reply);
        let answer = |body: Vec<u8>| {
            let to: Box<str> = reply?.into();
            self.commit.push(Item::Reply(super::commit::Reply { to, body: body.into() }))
        };
        match verdict {
            Ok(Verdict::Store(publish)) => self.commit.push(Item::Message(*publish)),
            Ok(Verdict::Duplicate(seq)) => answer(acknowledgement::duplicate(&self.name, seq)),
            Ok(Verdict::Skip { seq, time }) => {
                let operation = Operation::Skip { seq, time };
                let name = Arc::clone(&self.name);
                let to: Option<Box<str>> = reply.map(Into::into);
                self.commit.push(Item::Operation {
                    stream: Arc::clone(self),
                    operation,
                    then: Box::new(move |result, sender| {
                        let Some(to) = to else { return };
                        let body = match result {
                            Ok(_) => acknowledgement::stored(&name, seq),
                            Err(failure) => acknowledgement::failed(&name, &failure),
                        };
                        let _receivers = sender.publish(&to, &body);
                    }),
                })
            }
            Err(error) => answer(acknowledgement::refused(&self.name, &error)),
        }
    }

    fn judge(
        self: &Arc<Self>,
        state: &mut StreamState,
        config: &StreamConfig,
        message: &Inbound<'_>,
        reply: Option<&str>,
    ) -> Result<Verdict, ApiError> {
        if config.sealed {
            return Err(ApiError::stream_sealed());
        }
        let headers = Headers::new(message.header_len, message.body);
        let conditions = Conditions::read(headers)?;
        let now = clock::now().max(state.assigned.last_time);
        conditions.check_before(self, state, config, message.subject)?;
        if let Some(id) = conditions.msg_id
            && let Some(seq) = state.dedupe.find(id, now, config.duplicate_window())
        {
            return Ok(Verdict::Duplicate(seq));
        }
        conditions.check_after(state, config)?;
        let rollup = conditions.rollup(config)?;
        if config.max_msg_size().is_some_and(|most| message.body.len() as u64 > most) {
            return Err(ApiError::message_exceeds_maximum());
        }
        if message.header_len > MAX_HEADERS {
            return Err(ApiError::header_exceeds_maximum());
        }
        let record = record(message, headers, now);
        let bytes = message_bytes(self.storage, &record);
        self.check_limits(state, config, &record, bytes, rollup)?;
        let seq = state.assigned.last_seq + 1;
        if config.retention == Retention::Interest
            && !self.followers().iter().any(|one| one.wants(message.subject))
        {
            state.assigned.last_seq = seq;
            state.assigned.last_time = now;
            return Ok(Verdict::Skip { seq, time: now });
        }
        let expires = expiry(&conditions, config, now)?;
        if let Some(id) = conditions.msg_id.filter(|_| config.duplicate_window() > 0) {
            state.dedupe.add(id, seq, now);
        }
        state.assigned.last_msg_id = conditions.msg_id.map(Into::into);
        state.assigned.add(seq, &record, bytes);
        Ok(Verdict::Store(Box::new(Publish {
            stream: Arc::clone(self),
            epoch: state.epoch,
            seq,
            record,
            expires,
            rollup,
            reply: reply.map(Into::into),
        })))
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
        let seq = state.assigned.last_seq + 1;
        state.assigned.add(seq, &record, message_bytes(self.storage, &record));
        let publish = Publish {
            stream: Arc::clone(self),
            epoch: state.epoch,
            seq,
            record,
            expires: Some(time.saturating_add(expires_after)),
            rollup: Some(Rollup::Subject),
            reply: None,
        };
        let _pressure = self.commit.push(Item::Message(publish));
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
        use super::stream_config::Discard;
        self.usage.check(self.storage, bytes)?;
        if config.discard != Discard::New {
            return Ok(());
        }
        let of_subject = config.max_msgs_per_subject();
        let full = of_subject.is_some_and(|most| state.count_of(&record.subject) >= most);
        if full && config.discard_new_per_subject && rollup.is_none() {
            return Err(ApiError::store_failed("maximum messages per subject exceeded"));
        }
        let messages = state.committed.totals.messages + state.assigned.messages;
        // A message of a full subject takes the place of an older one.
        if config.max_msgs().is_some_and(|most| messages >= most) && !full {
            return Err(ApiError::store_failed("maximum messages exceeded"));
        }
        let held = state.committed.totals.bytes + state.assigned.bytes;
        if config.max_bytes().is_some_and(|most| held + bytes > most) {
            return Err(ApiError::store_failed("maximum bytes exceeded"));
        }
        Ok(())
    }
}

/// When a message is to be removed by its own wish.
fn expiry(conditions: &Conditions<'_>, config: &StreamConfig, now: i64) -> Result<Option<i64>, ApiError> {
    let Some(text) = conditions.ttl else { return Ok(None) };
    match Ttl::parse(text) {
        None => Err(ApiError::message_ttl_invalid()),
        Some(Ttl::Never) => Ok(None),
        Some(Ttl::After(ttl)) => {
            // The marker that follows lives that long; a message that ended before it would leave none to see.
            let ttl = if config.max_msgs_per_subject == 1 {
                ttl
            } else {
                ttl.max(config.subject_delete_marker_ttl)
            };
            Ok(Some(now.saturating_add(ttl)))
        }
    }
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
