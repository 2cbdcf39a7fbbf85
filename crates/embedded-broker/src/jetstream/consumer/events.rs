//! What clients tell a consumer.

use super::{
    AckPolicy, Consumer, ConsumerConfig, State, Waiting,
    ack::Ack,
    progress::{Acked, Finished},
    pull::{Refused, Request},
    status,
};
use crate::jetstream::{
    advisory::{self, Sample},
    commit::Reply,
    origin::Origin,
    scheduler::Worker,
    store::Seq,
    stream_config::Retention,
};

/// What clients tell a consumer.
#[derive(Debug)]
pub(crate) enum Event {
    /// About a delivery.
    Ack {
        seq: Seq,
        /// Number of the delivery.
        delivery: u64,
        /// `None` when it means nothing.
        ack: Option<Ack>,
        reply: Option<Box<str>>,
        /// For one that asks for more.
        origin: Option<Origin>,
    },
    /// That they want messages.
    Pull { request: Result<Request, Refused>, reply: Box<str>, origin: Option<Origin> },
    /// That they got so far.
    Flow(Box<str>),
}

impl Consumer {
    pub(super) fn work_off(
        &self,
        events: Vec<Event>,
        config: &ConsumerConfig,
        worker: &mut Worker,
        now: i64,
    ) {
        if events.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for event in events {
            match event {
                Event::Flow(id) => state.flow.answered(&id),
                Event::Pull { request, reply, origin } => {
                    self.pulled(&mut state, config, worker, request, reply, origin, now);
                }
                Event::Ack { seq, delivery, ack, reply, origin } => {
                    let Some(ack) = ack else {
                        // It means nothing, and is answered all the same.
                        if seq < state.progress.next {
                            state.replies.extend(reply.map(empty));
                        }
                        continue;
                    };
                    self.acknowledged(&mut state, config, worker, seq, delivery, ack, reply, origin, now);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the members of the event, and what it is worked off with")]
    fn acknowledged(
        &self,
        state: &mut State,
        config: &ConsumerConfig,
        worker: &mut Worker,
        seq: Seq,
        delivery: u64,
        ack: Ack,
        reply: Option<Box<str>>,
        origin: Option<Origin>,
        now: i64,
    ) {
        if config.ack_policy == AckPolicy::None || seq >= state.progress.next {
            return;
        }
        match ack {
            Ack::Done => {
                let acked = state.progress.acknowledge(config.ack_policy, seq, delivery, now);
                self.processed(state, config, worker, acked, now);
            }
            Ack::Next(request) => {
                let acked = state.progress.acknowledge(config.ack_policy, seq, delivery, now);
                self.processed(state, config, worker, acked, now);
                if let Some(reply) = reply {
                    self.pulled(state, config, worker, Ok(request), reply, origin, now);
                }
                return;
            }
            Ack::Term(reason) => {
                // With those before it, where an acknowledgement counts for them.
                let acked = state.progress.acknowledge(config.ack_policy, seq, delivery, now);
                if let Acked::Done(messages) = &acked
                    && let Some(message) = messages.iter().find(|message| message.seq == seq)
                {
                    advisory::terminated(&mut worker.sender, self, message, &reason);
                }
                self.processed(state, config, worker, acked, now);
            }
            Ack::Refused(delay) => {
                let deliveries = state.progress.deliveries(seq);
                if state.progress.refuse(seq, delay.map(|delay| now.saturating_add(delay))) {
                    advisory::refused(&mut worker.sender, self, seq, delivery, deliveries);
                }
            }
            Ack::Progress => {
                let _waited = state.progress.prolong(config, seq, now);
            }
        }
        state.replies.extend(reply.map(empty));
    }

    /// Lets the stream know of messages that are done, where it cares.
    fn processed(
        &self,
        state: &mut State,
        config: &ConsumerConfig,
        worker: &mut Worker,
        acked: Acked,
        now: i64,
    ) {
        let Acked::Done(messages) = acked else { return };
        let cares = self.stream.config().retention != Retention::Limits;
        for Finished { seq, delivery, deliveries, sent } in messages {
            if cares {
                self.commit.processed(&self.stream, seq);
            }
            let percent = config.sample_percent();
            if percent > 0 {
                state.sampled += u64::from(percent);
                if state.sampled >= 100 {
                    state.sampled -= 100;
                    let sample = Sample { seq, delivery, deliveries, took: now - sent };
                    advisory::sampled(&mut worker.sender, self, &sample);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the members of the event, and what it is worked off with")]
    fn pulled(
        &self,
        state: &mut State,
        config: &ConsumerConfig,
        worker: &mut Worker,
        request: Result<Request, Refused>,
        reply: Box<str>,
        origin: Option<Origin>,
        now: i64,
    ) {
        if config.is_push() {
            return status::send(&mut worker.sender, &reply, "409 Consumer is push based", "");
        }
        state.last_used = now;
        let to = reply.clone();
        match request.and_then(|request| request.admit(config, reply, origin, now)) {
            Err(Refused(why)) => status::send(&mut worker.sender, &to, &why, ""),
            Ok(waiting) if waiting.is_expired(now) => {
                status::send(&mut worker.sender, &to, "408 Request Timeout", &waiting.rest());
            }
            Ok(waiting)
                if waiting.no_wait && waiting.expires.is_none() && state.progress.to_deliver() == 0 =>
            {
                status::send(&mut worker.sender, &to, "404 No Messages", "");
            }
            Ok(waiting) if waiting.no_wait && self.is_spoken_for(state, config, now) => {
                status::send(&mut worker.sender, &to, "408 Requests Pending", "");
            }
            Ok(waiting) => self.admit(state, config, worker, waiting, now),
        }
    }

    /// Whether those who wait want more than there is, and nothing is delivered for now: a request that does not wait
    /// would. While messages are delivered, those who wait have what there is at any moment.
    fn is_spoken_for(&self, state: &State, config: &ConsumerConfig, now: i64) -> bool {
        let is_paused = config.pause_until.is_some_and(|until| until.0 > now);
        let is_full = || {
            let most = config.max_ack_pending();
            most.is_some_and(|most| state.progress.num_ack_pending() >= most)
        };
        let there = state.progress.to_deliver();
        if there == 0 || !(is_paused || is_full()) {
            return false;
        }
        let wait = |known: &&Waiting| !known.is_expired(now) && self.index.has_interest(&known.reply);
        let wanted =
            state.waiting.iter().filter(wait).fold(0_u64, |sum, known| sum.saturating_add(known.left));
        there < wanted
    }

    /// Lets a request wait, if there is a place.
    fn admit(
        &self,
        state: &mut State,
        config: &ConsumerConfig,
        worker: &mut Worker,
        waiting: Waiting,
        now: i64,
    ) {
        let places = usize::try_from(config.max_waiting).unwrap_or(0);
        if state.waiting.len() >= places {
            // Those that nobody waits for any more take no place.
            state.waiting.retain(|known| !known.is_expired(now) && self.index.has_interest(&known.reply));
        }
        if state.waiting.len() >= places {
            if waiting.heartbeat.is_none() {
                status::send(&mut worker.sender, &waiting.reply, "409 Exceeded MaxWaiting", "");
            }
            return;
        }
        state.waiting.push_back(waiting);
    }
}

fn empty(to: Box<str>) -> Reply {
    Reply { to, body: bytes::Bytes::new() }
}
