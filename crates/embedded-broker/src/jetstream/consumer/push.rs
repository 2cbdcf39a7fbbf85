//! What a consumer does by itself: sends to those who listen, gives signs of life, and looks at the clock.

use std::sync::Arc;

use super::{Consumer, ConsumerConfig, State, status};
use crate::jetstream::{advisory, scheduler::Worker};

impl Consumer {
    /// Notes a message that was sent to those who listen.
    pub(super) fn pushed(
        &self,
        state: &mut State,
        config: &ConsumerConfig,
        worker: &mut Worker,
        bytes: usize,
        now: i64,
    ) {
        state.next_heartbeat = heartbeat(config, now);
        if let Some(time) = (bytes as u64).saturating_mul(8_000_000_000).checked_div(config.rate_limit_bps) {
            state.not_before = state.not_before.max(now).saturating_add_unsigned(time);
        }
        if config.flow_control
            && let Some(id) = state.flow.sent(bytes)
        {
            let question = self.flow_subject(id);
            let to = &config.deliver_subject;
            status::send_with_reply(&mut worker.sender, to, Some(&question), "100 FlowControl Request", "");
        }
    }

    /// Where a question of flow control is answered.
    fn flow_subject(&self, id: &str) -> String {
        format!("$JS.FC.{}.{}.{id}", self.stream.name, self.name)
    }

    /// Does what is due: messages that count as lost, requests whose time is over, signs of life.
    pub(super) fn look_at_clock(&self, config: &ConsumerConfig, worker: &mut Worker, now: i64) {
        let engine = Arc::clone(&worker.engine);
        // Signs of life say how far the stream is: they go to whoever may still ask.
        let _allowed = engine.deliveries.read();
        let mut state = self.state.lock();
        for message in state.progress.expire(config, now) {
            advisory::exhausted(&mut worker.sender, self, message);
        }
        if config.is_push() {
            self.look_for_listeners(&mut state, config, now);
            if state.active && state.next_heartbeat.is_some_and(|due| due <= now) {
                let asked = state.flow.asked();
                let stalled = asked.map(|id| format!("Nats-Consumer-Stalled: {}\r\n", self.flow_subject(id)));
                let headers = format!("{}{}", last(&state), stalled.unwrap_or_default());
                status::send(&mut worker.sender, &config.deliver_subject, "100 Idle Heartbeat", &headers);
                state.next_heartbeat = heartbeat(config, now);
            }
            return;
        }
        let headers = last(&state);
        state.waiting.retain_mut(|waiting| {
            if waiting.is_expired(now) {
                status::send(&mut worker.sender, &waiting.reply, "408 Request Timeout", &waiting.rest());
                return false;
            }
            if waiting.next_heartbeat.is_some_and(|due| due <= now) {
                if !waiting.may_go_on() {
                    status::send(&mut worker.sender, &waiting.reply, "409 Consumer Deleted", "");
                    return false;
                }
                status::send(&mut worker.sender, &waiting.reply, "100 Idle Heartbeat", &headers);
                waiting.alive(now);
            }
            true
        });
    }

    fn look_for_listeners(&self, state: &mut State, config: &ConsumerConfig, now: i64) {
        let active = self.is_bound(config) && self.may_push();
        if active && !state.active {
            state.flow.reset();
            state.next_heartbeat = heartbeat(config, now);
        }
        if !active {
            if state.active {
                state.last_used = now;
            }
            state.next_heartbeat = None;
        }
        state.active = active;
    }

    /// Whether somebody listens to it, for a push consumer.
    pub(super) fn is_bound(&self, config: &ConsumerConfig) -> bool {
        config.is_push() && self.index.has_listener(&config.deliver_subject, config.group())
    }
}

fn heartbeat(config: &ConsumerConfig, now: i64) -> Option<i64> {
    (config.idle_heartbeat > 0).then(|| now.saturating_add(config.idle_heartbeat))
}

/// How far it is, for signs of life.
fn last(state: &State) -> String {
    let delivered = state.progress.delivered;
    format!("Nats-Last-Consumer: {}\r\nNats-Last-Stream: {}\r\n", delivered.consumer, delivered.stream)
}
