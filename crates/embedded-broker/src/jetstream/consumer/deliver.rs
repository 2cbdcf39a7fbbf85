//! Deliveries: which message goes next, and to whom.
//!
//! A turn is made of rounds. Each looks under the lock what is wanted, reads it without the lock, and sends it under the
//! lock again, if it is still wanted.

use bytes::Bytes;

use super::{Consumer, ConsumerConfig, State, ack, status};
use crate::{
    jetstream::{
        advisory, clock,
        engine::Engine,
        headers::{FIRST_LINE, Headers},
        scheduler::Worker,
        sender::Sender,
        store::{Record, Seq},
        stream_config::Retention,
    },
    protocol::MessageFrame,
};

/// Messages of one round.
const ROUND: usize = 256;

/// Bytes of one round.
const ROUND_BYTES: usize = 1024 * 1024;

/// Rounds of one turn.
const ROUNDS: usize = 4;

/// How long a consumer waits for a client that takes its messages slowly.
const SLOW: i64 = 2_000_000;

/// What to read next.
enum Plan {
    Nothing,
    /// Messages that are delivered again.
    Again(Vec<Seq>),
    /// Single ones at the beginning.
    Listed(Vec<Seq>),
    /// What comes next, up to so many.
    New {
        from: Seq,
        most: usize,
    },
}

/// What became of a message.
enum Sent {
    Yes,
    /// Nobody wants it now.
    NotNow,
}

impl Consumer {
    /// Delivers what there is. Answers whether there may be more.
    pub(super) fn deliver(&self, config: &ConsumerConfig, worker: &mut Worker) -> bool {
        for _ in 0..ROUNDS {
            let plan = {
                let mut state = self.state.lock();
                self.plan(&mut state, config, worker, clock::now())
            };
            let go_on = match plan {
                Plan::Nothing => false,
                Plan::Again(seqs) => self.deliver_again(config, worker, seqs),
                Plan::Listed(seqs) => self.deliver_listed(config, worker, seqs),
                Plan::New { from, most } => self.deliver_new(config, worker, from, most),
            };
            if worker.sender.flush_and_see_full() {
                self.state.lock().not_before = clock::now() + SLOW;
                return false;
            }
            if !go_on {
                return false;
            }
        }
        true
    }

    fn plan(&self, state: &mut State, config: &ConsumerConfig, worker: &mut Worker, now: i64) -> Plan {
        if self.is_stopped()
            || state.not_before > now
            || config.pause_until.is_some_and(|until| until.0 > now)
        {
            return Plan::Nothing;
        }
        let wanted = if config.is_push() {
            if state.active && !(config.flow_control && state.flow.is_stalled()) { ROUND } else { 0 }
        } else {
            Self::wanted(state, worker, now)
        };
        if wanted == 0 {
            return Plan::Nothing;
        }
        let mut again = Vec::new();
        while again.len() < wanted {
            let Some(seq) = state.progress.take_again() else { break };
            match state.progress.exhausted(config, seq) {
                Some(message) => advisory::exhausted(&mut worker.sender, self, message),
                None => again.push(seq),
            }
        }
        if !again.is_empty() {
            return Plan::Again(again);
        }
        let room = config
            .max_ack_pending()
            .map_or(usize::MAX, |most| most.saturating_sub(state.progress.num_ack_pending()));
        let most = wanted.min(room);
        if most == 0 {
            return Plan::Nothing;
        }
        if !state.listed.is_empty() {
            return Plan::Listed(state.listed.iter().take(most).copied().collect());
        }
        Plan::New { from: state.progress.next, most }
    }

    /// How many messages those want who wait. Those that nobody waits for any more go.
    fn wanted(state: &mut State, worker: &mut Worker, now: i64) -> usize {
        let mut wanted = 0u64;
        state.waiting.retain(|waiting| {
            let there = !waiting.is_expired(now) && worker.sender.has_receiver(&waiting.reply);
            wanted += if there { waiting.left } else { 0 };
            // The clock tells those whose time is over.
            there || waiting.is_expired(now)
        });
        usize::try_from(wanted).unwrap_or(usize::MAX).min(ROUND)
    }

    fn deliver_again(&self, config: &ConsumerConfig, worker: &mut Worker, seqs: Vec<Seq>) -> bool {
        let records: Vec<_> = seqs.into_iter().map(|seq| (seq, self.stream.get(seq))).collect();
        let engine = std::sync::Arc::clone(&worker.engine);
        let _allowed = engine.deliveries.read();
        let mut state = self.state.lock();
        let now = clock::now();
        let mut enough = false;
        for (seq, record) in records {
            if state.progress.pending(seq).is_none() {
                continue;
            }
            let sent = match record {
                Ok(Some(record)) if !enough => {
                    self.send(&mut state, config, worker, &engine, seq, &record, now, true)
                }
                Ok(Some(_)) => Sent::NotNow,
                // It left the stream, or is damaged: nobody can have it.
                Ok(None) | Err(_) => {
                    let _done = state.progress.done(seq);
                    continue;
                }
            };
            if matches!(sent, Sent::NotNow) {
                enough = true;
                let _queued = state.progress.refuse(seq, None);
            }
        }
        !enough
    }

    fn deliver_listed(&self, config: &ConsumerConfig, worker: &mut Worker, seqs: Vec<Seq>) -> bool {
        let records: Vec<_> = seqs.into_iter().map(|seq| (seq, self.stream.get(seq))).collect();
        let engine = std::sync::Arc::clone(&worker.engine);
        let _allowed = engine.deliveries.read();
        let mut state = self.state.lock();
        let now = clock::now();
        for (seq, record) in records {
            // One that was removed meanwhile is not in the list any more.
            if state.listed.front() != Some(&seq) {
                continue;
            }
            match record {
                Ok(Some(record)) => {
                    let beyond = state.progress.next;
                    if matches!(
                        self.send(&mut state, config, worker, &engine, seq, &record, now, false),
                        Sent::NotNow
                    ) {
                        return false;
                    }
                    // What follows the list begins where it began before.
                    state.progress.skip_to(beyond);
                }
                Ok(None) | Err(_) => {
                    state.progress.num_pending = state.progress.num_pending.saturating_sub(1);
                }
            }
            state.listed.pop_front();
        }
        true
    }

    fn deliver_new(&self, config: &ConsumerConfig, worker: &mut Worker, from: Seq, most: usize) -> bool {
        let filters = self.filters.load_full();
        let page = match self.stream.read(&filters, from, most, ROUND_BYTES) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(consumer = ?self, %error, "cannot read the stream");
                self.state.lock().not_before = clock::now() + 1_000_000_000;
                return false;
            }
        };
        let engine = std::sync::Arc::clone(&worker.engine);
        let _allowed = engine.deliveries.read();
        let mut state = self.state.lock();
        if state.progress.next != from {
            // A purge moved it.
            return true;
        }
        let now = clock::now();
        let end_of_stream = page.messages.is_empty();
        for (seq, record) in page.messages {
            if let Sent::NotNow = self.send(&mut state, config, worker, &engine, seq, &record, now, false) {
                return false;
            }
        }
        state.progress.skip_to(page.next);
        if end_of_stream {
            nothing_left(&mut state, worker);
        }
        !end_of_stream
    }

    /// Sends one message to whoever is next.
    #[expect(clippy::too_many_arguments, reason = "one message, and everything it is sent with")]
    fn send(
        &self,
        state: &mut State,
        config: &ConsumerConfig,
        worker: &mut Worker,
        engine: &Engine,
        seq: Seq,
        record: &Record,
        now: i64,
        again: bool,
    ) -> Sent {
        let number = state.progress.delivered.consumer + 1;
        let count = if again { state.progress.deliveries(seq) + 1 } else { 1 };
        let pending = state.progress.num_pending.saturating_sub(u64::from(!again));
        let mut reply = self.ack_prefix.clone();
        ack::write(&mut reply, count, seq, number, record.time, pending);
        if !again && !replay(state, seq, record.time, now) {
            return Sent::NotNow;
        }
        let bytes = record.subject.len() + reply.len() + record.data.len();
        let to: &str = if config.is_push() {
            if !state.active || (config.flow_control && state.flow.is_stalled()) || state.not_before > now {
                return Sent::NotNow;
            }
            &config.deliver_subject
        } else if front(state, worker, bytes as u64, now) {
            &state.waiting[0].reply
        } else {
            return Sent::NotNow;
        };
        let shortened;
        let (header_len, data): (usize, &[u8]) = if config.headers_only {
            shortened = without_body(record);
            (shortened.len(), &shortened)
        } else {
            (record.header_len, &record.data)
        };
        let frame = MessageFrame {
            subject: record.subject.as_bytes(),
            reply: Some(reply.as_bytes()),
            header_len,
            body: data,
        };
        let _receivers = worker.sender.send(to, &frame);
        if again {
            let _number = state.progress.deliver_again(config, seq, now);
        } else {
            let _number = state.progress.deliver_new(config, seq, now);
            if config.ack_policy == super::AckPolicy::None
                && self.stream.config().retention != Retention::Limits
            {
                engine.commit.processed(&self.stream, seq);
            }
        }
        if config.is_push() {
            self.pushed(state, config, worker, bytes, now);
        } else {
            pulled(state, worker, bytes as u64, now);
        }
        Sent::Yes
    }
}

/// Finds the request to be served next, and puts it in front. Requests that cannot have this message end.
fn front(state: &mut State, worker: &mut Worker, bytes: u64, now: i64) -> bool {
    for _ in 0..state.waiting.len() {
        let Some(next) = state.waiting.front() else { return false };
        if next.is_expired(now) {
            // The clock tells it.
            state.waiting.rotate_left(1);
            continue;
        }
        if next.origin.as_ref().is_some_and(|origin| !origin.may_go_on()) {
            status::send(&mut worker.sender, &next.reply, "409 Consumer Deleted", "");
        } else if !worker.sender.has_receiver(&next.reply) {
            // Nobody to tell.
        } else if next.bytes_left.is_some_and(|left| bytes > left) {
            let rest = next.rest();
            status::send(&mut worker.sender, &next.reply, "409 Message Size Exceeds MaxBytes", &rest);
        } else {
            return true;
        }
        state.waiting.pop_front();
    }
    false
}

/// Notes that the request in front got a message; then it is the turn of the next.
fn pulled(state: &mut State, worker: &mut Worker, bytes: u64, now: i64) {
    let Some(mut served) = state.waiting.pop_front() else { return };
    served.left -= 1;
    served.sent += 1;
    served.bytes_left = served.bytes_left.map(|left| left - bytes);
    served.alive(now);
    if served.left > 0 {
        state.waiting.push_back(served);
    } else if served.bytes_left.is_some_and(|left| left > 0) {
        status::send(&mut worker.sender, &served.reply, "409 Batch Completed", &served.rest());
    }
}

/// Ends requests that do not wait.
fn nothing_left(state: &mut State, worker: &mut Worker) {
    state.waiting.retain(|waiting| {
        let ends = waiting.no_wait && (waiting.sent > 0 || waiting.expires.is_none());
        if ends {
            status::send(&mut worker.sender, &waiting.reply, "404 No Messages", "");
        }
        !ends
    });
}

/// Whether it is time for a message that is replayed at the pace it came; if not, sets when it is.
fn replay(state: &mut State, seq: Seq, stored: i64, now: i64) -> bool {
    if seq > state.replay_until {
        return true;
    }
    if let Some((before, sent)) = state.replayed {
        let due = sent.saturating_add(stored.saturating_sub(before));
        if due > now {
            state.not_before = due;
            return false;
        }
    }
    state.replayed = Some((stored, now));
    true
}

/// The headers of a message, with the size of what is left out.
fn without_body(record: &Record) -> Bytes {
    let mut block = FIRST_LINE.to_vec();
    block.extend_from_slice(Headers::of(record).body());
    let size = record.data.len() - record.header_len;
    block.extend_from_slice(format!("Nats-Msg-Size: {size}\r\n\r\n").as_bytes());
    block.into()
}

impl Sender {
    /// Wakes the clients that something was sent to. Answers whether one of them is nearly full.
    fn flush_and_see_full(&mut self) -> bool {
        let full = self.sees_full();
        self.flush();
        full
    }
}
