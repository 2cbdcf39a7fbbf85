//! `CONSUMER.…`: making, changing, describing and deleting consumers.

mod create;
mod listing;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Answer, ApiRequest, answer::Success};
use crate::jetstream::{
    advisory,
    api_error::ApiError,
    clock,
    commit::{Failure, Operation},
    consumer::{Consumer, ConsumerInfo},
    consumer_config::{DeliverPolicy, Time},
    json,
    scheduler::Worker,
    sender::Sender,
    store::Seq,
};

pub(super) fn handle(verb: &str, rest: &[&str], request: &ApiRequest, worker: &mut Worker) -> bool {
    match (verb, rest) {
        ("CREATE", [stream]) => create::create(stream, None, None, request, worker),
        ("CREATE", [stream, name]) => create::create(stream, Some(name), None, request, worker),
        ("CREATE", [stream, name, filter @ ..]) => {
            create::create(stream, Some(name), Some(&filter.join(".")), request, worker);
        }
        ("DURABLE", ["CREATE", stream, name]) => create::create_durable(stream, name, request, worker),
        ("INFO", [stream, name]) => listing::info(stream, name, request, worker),
        ("NAMES", [stream]) => listing::names(stream, request, worker),
        ("LIST", [stream]) => listing::list(stream, request, worker),
        ("DELETE", [stream, name]) => delete(stream, name, request, worker),
        ("PAUSE", [stream, name]) => pause(stream, name, request, worker),
        ("RESET", [stream, name]) => return reset(stream, name, request, worker),
        ("UNPIN", [stream, name]) => unpin(stream, name, request, worker),
        ("LEADER", ["STEPDOWN", _, _]) => {
            let answer = Answer::new(&worker.engine, request, "consumer_leader_stepdown_response");
            answer.give::<Success>(&mut worker.sender, Err(ApiError::cluster_required()));
        }
        _ => return false,
    }
    true
}

/// A consumer by name.
fn find(worker: &Worker, stream: &str, name: &str) -> Result<Arc<Consumer>, ApiError> {
    let stream = worker.engine.stream(stream).ok_or_else(ApiError::stream_not_found)?;
    stream.consumers.get(name).ok_or_else(ApiError::consumer_not_found)
}

fn delete(stream: &str, name: &str, request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "consumer_delete_response");
    let checked = request.check_level().and_then(|()| request.check_empty());
    let consumer = match checked.and_then(|()| find(worker, stream, name)) {
        Ok(consumer) => consumer,
        Err(error) => return answer.give::<Success>(&mut worker.sender, Err(error)),
    };
    remove(&consumer, worker, move |answered, sender| match answered {
        Ok(()) => answer.give(sender, Ok(Success { success: true })),
        Err(failure) => answer.fail(sender, &failure),
    });
}

/// Takes a consumer away because nobody uses it.
pub(crate) fn expire(consumer: &Arc<Consumer>, worker: &mut Worker) {
    remove(consumer, worker, |_, _| {});
}

/// Takes a consumer away, and with it the interest it had in messages.
fn remove(
    consumer: &Arc<Consumer>,
    worker: &mut Worker,
    then: impl FnOnce(Result<(), Failure>, &mut Sender) + Send + 'static,
) {
    let stream = &consumer.stream;
    if !stream.consumers.remove(consumer) {
        return;
    }
    consumer.stop(&mut worker.sender);
    advisory::consumer_action(&mut worker.sender, consumer, "delete");
    worker.sender.flush();
    let changes = if consumer.is_stored() { consumer.removal() } else { Vec::new() };
    let commit = &worker.engine.commit;
    commit.operate(stream, Operation::Write(changes), |_, _| {});
    commit.operate(stream, Operation::InterestLost(consumer.ack_floor()), move |result, sender| {
        then(result.map(|_| ()), sender);
    });
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PauseRequest {
    pause_until: Option<Time>,
}

#[derive(Serialize)]
struct Paused {
    #[serde(rename = "paused")]
    is_on: bool,
    #[serde(rename = "pause_until")]
    until: String,
    #[serde(rename = "pause_remaining", skip_serializing_if = "Option::is_none")]
    remaining: Option<i64>,
}

fn pause(stream: &str, name: &str, request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "consumer_pause_response");
    let found = request.check_level().and_then(|()| {
        let wanted: PauseRequest = json::read_or_default(&request.body)?;
        Ok((find(worker, stream, name)?, wanted.pause_until.filter(|until| until.0 != 0)))
    });
    let (consumer, until) = match found {
        Ok(found) => found,
        Err(error) => {
            let beside = Paused { is_on: false, until: clock::rfc3339(0), remaining: None };
            return answer.give_or::<Paused, _>(&mut worker.sender, Err(error), beside);
        }
    };
    let mut config = (*consumer.config()).clone();
    config.pause_until = until.filter(|until| until.0 > clock::now());
    let paused = config.pause_until;
    if let Err(error) = consumer.reconfigure(config.clone()) {
        tracing::error!(?consumer, %error, "cannot be changed");
    }
    advisory::paused(&mut worker.sender, &consumer, paused.map(|until| until.0));
    let changes = if consumer.is_stored() { vec![consumer.config_change(&config)] } else { Vec::new() };
    worker.engine.commit.operate(&consumer.stream, Operation::Write(changes), move |result, sender| {
        match result {
            Ok(_) => {
                let remaining = paused.map(|until| until.0 - clock::now()).filter(|rest| *rest > 0);
                let until = clock::rfc3339(until.map_or(0, |until| until.0));
                answer.give(sender, Ok(Paused { is_on: remaining.is_some(), until, remaining }));
            }
            Err(failure) => answer.fail(sender, &failure),
        }
    });
}

/// Unknown members are ignored here, as nats-server does.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResetRequest {
    seq: Seq,
}

#[derive(Serialize)]
struct Reset {
    #[serde(flatten)]
    info: ConsumerInfo,
    reset_seq: Seq,
}

/// Stands beside an error.
#[derive(Serialize)]
struct NoReset {
    reset_seq: Seq,
}

/// A consumer that is not there is nobody who answers.
fn reset(stream: &str, name: &str, request: &ApiRequest, worker: &mut Worker) -> bool {
    let Ok(consumer) = find(worker, stream, name) else { return false };
    let answer = Answer::new(&worker.engine, request, "consumer_reset_response");
    let result = request.check_level().and_then(|()| {
        let body: &[u8] = if request.body.trim_ascii().is_empty() { b"{}" } else { &request.body };
        let wanted: ResetRequest = json::read(body)?;
        let seq = reset_to(&consumer, wanted.seq)?;
        consumer.reset(seq).map_err(|error| ApiError::consumer_invalid_reset(error.to_string()))?;
        Ok(Reset { info: consumer.info(), reset_seq: seq })
    });
    answer.give_or(&mut worker.sender, result, NoReset { reset_seq: 0 });
    true
}

/// Where a consumer may begin anew: behind what is acknowledged, or where it could have begun.
fn reset_to(consumer: &Consumer, seq: Seq) -> Result<Seq, ApiError> {
    let config = consumer.config();
    let refuse = |why: &str| Err(ApiError::consumer_invalid_reset(why));
    match config.deliver_policy {
        _ if seq == 0 => Ok(consumer.ack_floor() + 1),
        DeliverPolicy::ByStartSequence if seq < config.opt_start_seq => refuse("below start seq"),
        DeliverPolicy::All | DeliverPolicy::ByStartSequence => Ok(seq),
        DeliverPolicy::ByStartTime => {
            let start = config.opt_start_time.map_or(Ok(0), |time| consumer.stream.seq_at(time.0));
            match start {
                Ok(start) if seq >= start => Ok(seq),
                Ok(_) => refuse("below start time"),
                Err(error) => refuse(&error.to_string()),
            }
        }
        _ => refuse("not allowed"),
    }
}

fn unpin(stream: &str, name: &str, request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "consumer_unpin_response");
    // No consumer here has groups.
    let error = find(worker, stream, name)
        .map_or_else(|error| error, |_| ApiError::consumer_invalid_priority_group());
    answer.give::<Success>(&mut worker.sender, Err(error));
}
