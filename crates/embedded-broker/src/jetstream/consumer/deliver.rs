//! Deliveries: which message goes next, and to whom.
//!
//! A turn is made of rounds. Each looks under the lock what is wanted, reads it without the lock, and sends it under the
//! lock again, if it is still wanted.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{MutexGuard, RwLockReadGuard};

use super::{AckPolicy, Consumer, ConsumerConfig, MAX_PASSED, Passed, State, ack, status};
use crate::{
    jetstream::{
        advisory, clock,
        engine::Engine,
        headers::{FIRST_LINE, Headers},
        scheduler::Worker,
        store::{Record, Seq},
        stream_config::Retention,
    },
    protocol::MessageFrame,
};

/// Messages of one round.
const ROUND: usize = 256;

/// Bytes of one round.
const ROUND_BYTES: usize = 1024 * 1024;

/// Messages, and bytes, that are read where fewer are wanted: the next pull then needs no look at the stream.
const AHEAD: usize = 32;
const AHEAD_BYTES: usize = 32 * 1024;

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
    /// What was read ahead, up to so many.
    Ahead(usize),
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
                Plan::Ahead(most) => {
                    let last = self.stream.last_seq();
                    let engine = Arc::clone(&worker.engine);
                    let mut round = Round::begin(self, config, worker, &engine);
                    round.send_ahead(most, last)
                }
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
        if self.is_stopped() || state.not_before > now {
            return Plan::Nothing;
        }
        if config.pause_until.is_some_and(|until| until.0 > now) {
            nothing_left(state, worker);
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
        if !state.ahead.is_empty() {
            return Plan::Ahead(most);
        }
        state.reading = true;
        Plan::New { from: state.next_unread(), most }
    }

    /// How many messages those want who wait. Those that nobody waits for any more go.
    fn wanted(state: &mut State, worker: &mut Worker, now: i64) -> usize {
        let mut wanted = 0u64;
        state.waiting.retain(|waiting| {
            let there = !waiting.is_expired(now) && worker.sender.has_receiver(&waiting.reply);
            wanted = wanted.saturating_add(if there { waiting.left } else { 0 });
            // The clock tells those whose time is over.
            there || waiting.is_expired(now)
        });
        usize::try_from(wanted).unwrap_or(usize::MAX).min(ROUND)
    }

    fn deliver_again(&self, config: &ConsumerConfig, worker: &mut Worker, seqs: Vec<Seq>) -> bool {
        let records: Vec<_> = seqs.into_iter().map(|seq| (seq, self.stream.get(seq))).collect();
        let engine = Arc::clone(&worker.engine);
        let mut round = Round::begin(self, config, worker, &engine);
        let mut left = Vec::new();
        for (seq, record) in records {
            if round.state.progress.pending(seq).is_none() {
                continue;
            }
            match record {
                Ok(Some(record)) => {
                    // Once one is not wanted, the others are not tried.
                    if !left.is_empty() || matches!(round.send(seq, &record, true), Sent::NotNow) {
                        left.push(seq);
                    }
                }
                // It left the stream, or is damaged: nobody can have it.
                Ok(None) | Err(_) => drop(round.state.progress.done(seq)),
            }
        }
        round.state.progress.put_back(&left);
        left.is_empty()
    }

    fn deliver_listed(&self, config: &ConsumerConfig, worker: &mut Worker, seqs: Vec<Seq>) -> bool {
        let records: Vec<_> = seqs.into_iter().map(|seq| (seq, self.stream.get(seq))).collect();
        let engine = Arc::clone(&worker.engine);
        let mut round = Round::begin(self, config, worker, &engine);
        for (seq, record) in records {
            // One that was removed meanwhile is not in the list any more.
            if round.state.listed.front() != Some(&seq) {
                continue;
            }
            if let Ok(Some(record)) = record {
                let beyond = round.state.progress.next;
                if matches!(round.send(seq, &record, false), Sent::NotNow) {
                    return false;
                }
                // What follows the list begins where it began before.
                round.state.progress.skip_to(beyond);
            } else {
                let progress = &mut round.state.progress;
                progress.num_pending = progress.num_pending.saturating_sub(1);
            }
            round.state.listed.pop_front();
        }
        true
    }

    fn deliver_new(&self, config: &ConsumerConfig, worker: &mut Worker, from: Seq, most: usize) -> bool {
        let filters = self.filters.load_full();
        let (limit, bytes) = if most < AHEAD { (AHEAD, AHEAD_BYTES) } else { (most, ROUND_BYTES) };
        let last = self.stream.last_seq();
        let page = self.stream.read(&filters, from, limit, bytes);
        let engine = Arc::clone(&worker.engine);
        let mut round = Round::begin(self, config, worker, &engine);
        round.state.reading = false;
        let mut gone = std::mem::take(&mut round.state.gone);
        gone.sort_unstable();
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(consumer = ?self, %error, "cannot read the stream");
                round.state.not_before = clock::now() + 1_000_000_000;
                return false;
            }
        };
        if round.state.next_unread() != from {
            // A purge moved it.
            return true;
        }
        if self.stream.is_changing() && round.state.passed.len() < MAX_PASSED {
            let found = page.messages.iter().map(|(seq, _)| *seq).collect();
            round.state.passed.push(Passed { range: from..page.next, found });
        }
        // What left the stream meanwhile is not pending any more.
        let there = page.messages.into_iter().filter(|(seq, _)| gone.binary_search(seq).is_err());
        round.state.ahead.extend(there);
        round.state.ahead_next = page.next;
        round.send_ahead(most, last)
    }
}

/// A round of deliveries, from the look at rights to the last append.
struct Round<'a> {
    consumer: &'a Consumer,
    config: &'a ConsumerConfig,
    worker: &'a mut Worker,
    state: MutexGuard<'a, State>,
    now: i64,
    /// Those who listen may have what is delivered.
    may_push: bool,
    _allowed: RwLockReadGuard<'a, ()>,
}

impl<'a> Round<'a> {
    fn begin(
        consumer: &'a Consumer,
        config: &'a ConsumerConfig,
        worker: &'a mut Worker,
        engine: &'a Engine,
    ) -> Self {
        let allowed = engine.deliveries.read();
        let may_push = config.is_push() && consumer.may_push();
        let mut state = consumer.state.lock();
        state.round += 1;
        Self { consumer, config, worker, state, now: clock::now(), may_push, _allowed: allowed }
    }

    /// Sends what was read ahead, up to so many. Answers whether there may be more to do: what comes after `last` is news
    /// of its own, else a request that does not wait would wait for a pause of those who publish.
    fn send_ahead(&mut self, most: usize, last: Seq) -> bool {
        for _ in 0..most {
            let Some((seq, record)) = self.state.ahead.pop_front() else { break };
            if matches!(self.send(seq, &record, false), Sent::NotNow) {
                self.state.ahead.push_front((seq, record));
                return false;
            }
        }
        let Self { worker, state, .. } = self;
        if !state.ahead.is_empty() {
            return true;
        }
        // Whether there is more is nobody's question when all have what they wanted, or may have no more before they
        // acknowledge something.
        let is_full =
            self.config.max_ack_pending().is_some_and(|most| state.progress.num_ack_pending() >= most);
        if is_full || !state.is_hungry() {
            return false;
        }
        let next = state.ahead_next;
        state.progress.skip_to(next);
        if next <= last {
            return true;
        }
        if state.told < next {
            // Everything that was counted was read: whatever is left of the count is none.
            state.progress.num_pending = 0;
        }
        nothing_left(state, worker);
        false
    }

    /// Sends one message to whoever is next.
    fn send(&mut self, seq: Seq, record: &Record, again: bool) -> Sent {
        let Self { consumer, config, worker, state, now, may_push, .. } = self;
        let (state, now) = (&mut **state, *now);
        // It may have ended since it was looked at.
        if consumer.is_stopped() || (!again && !replay(state, seq, record.time, now)) {
            return Sent::NotNow;
        }
        let number = state.progress.delivered.consumer + 1;
        let count = if again { state.progress.deliveries(seq) + 1 } else { 1 };
        let pending = state.progress.num_pending.saturating_sub(u64::from(!again));
        let mut reply = std::mem::take(&mut state.scratch);
        reply.clear();
        reply.push_str(&consumer.ack_prefix);
        ack::write(&mut reply, count, seq, number, record.time, pending);
        let shortened;
        let (header_len, body): (usize, &[u8]) = if config.headers_only {
            shortened = without_body(record);
            (shortened.len(), &shortened)
        } else {
            (record.header_len, &record.data)
        };
        let bytes = record.subject.len() + reply.len() + body.len();
        let frame = MessageFrame {
            subject: record.subject.as_bytes(),
            reply: Some(reply.as_bytes()),
            header_len,
            body,
        };
        let to: Option<&str> = if config.is_push() {
            let stalled = config.flow_control && state.flow.is_stalled();
            let open = *may_push && state.active && !stalled && state.not_before <= now;
            open.then_some(config.deliver_subject.as_str())
        } else if front(state, worker, bytes as u64, now) {
            state.waiting.front().map(|waiting| &*waiting.reply)
        } else {
            None
        };
        let sent = to.map(|to| worker.sender.send(to, &frame));
        state.scratch = reply;
        if sent.is_none() {
            return Sent::NotNow;
        }
        if again {
            let _number = state.progress.deliver_again(config, seq, now);
        } else {
            let _number = state.progress.deliver_new(config, seq, now);
            let done = config.ack_policy == AckPolicy::None;
            if done && consumer.stream.config().retention != Retention::Limits {
                consumer.commit.processed(&consumer.stream, seq);
            }
        }
        if config.is_push() {
            consumer.pushed(state, config, worker, bytes, now);
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
        let known = next.checked == state.round;
        if !known && !next.may_go_on() {
            status::send(&mut worker.sender, &next.reply, "409 Consumer Deleted", "");
        } else if !worker.sender.has_receiver(&next.reply) {
            // Nobody to tell.
        } else if next.bytes_left.is_some_and(|left| bytes > left) {
            let rest = next.rest();
            status::send(&mut worker.sender, &next.reply, "409 Message Size Exceeds MaxBytes", &rest);
        } else {
            let round = state.round;
            if let Some(next) = state.waiting.front_mut() {
                next.checked = round;
            }
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
    if served.bytes_left == Some(0) {
        // It has all it asked for, though not in messages.
        return;
    }
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
