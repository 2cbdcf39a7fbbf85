//! Making, changing, purging and deleting streams. Each is answered when it is durable.

use std::sync::Arc;

use busauth::SubjectFilter;
use serde::{Deserialize, Serialize};

use super::StreamInfo;
use crate::jetstream::{
    advisory,
    api::{Answer, ApiRequest, answer::Success},
    api_error::ApiError,
    clock,
    commit::{Operation, Purge, PurgeBound},
    engine::Engine,
    json,
    scheduler::Worker,
    store::MAX_SEQ,
    stream::{Filters, Stream},
    stream_config::{StreamConfig, StreamRequest},
    usage::Usage,
};

pub(super) fn create(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_create_response");
    match created(&engine, name, request) {
        Err(error) => answer.give::<StreamInfo>(&mut worker.sender, Err(error)),
        Ok(Created::Existing(stream)) => {
            let info = StreamInfo { did_create: true, ..StreamInfo::of(&stream) };
            answer.give(&mut worker.sender, Ok(info));
        }
        Ok(Created::New(stream)) => {
            engine.create(*stream, move |made, result, sender| match result {
                Ok(_) => {
                    advisory::stream_action(sender, &made.name, "create");
                    let info = StreamInfo { did_create: true, ..StreamInfo::of(made) };
                    answer.give(sender, Ok(info));
                }
                Err(failure) => answer.fail(sender, &failure),
            });
        }
    }
}

/// A stream that was asked for.
enum Created {
    /// It is there already, exactly so.
    Existing(Arc<Stream>),
    New(Box<Stream>),
}

fn created(engine: &Arc<Engine>, name: &str, request: &ApiRequest) -> Result<Created, ApiError> {
    request.check_level()?;
    let StreamRequest { config, pedantic } = StreamConfig::read(&request.body)?;
    if config.name != name {
        return Err(ApiError::stream_mismatch());
    }
    if config.sealed {
        return Err(ApiError::stream_config("stream configuration for create can not be sealed"));
    }
    let config = config.with_defaults(pedantic)?;
    if let Some(existing) = engine.stream(name) {
        config.check(&engine.others(name))?;
        return if *existing.config() == config {
            Ok(Created::Existing(existing))
        } else {
            Err(ApiError::stream_name_exists())
        };
    }
    if engine.is_unread(name) {
        return Err(ApiError::store_failed(
            "a stream of this name is stored and cannot be read: restore it, or use another name",
        ));
    }
    config.check(&engine.others(name))?;
    if engine.limits.max_streams.is_some_and(|most| engine.num_streams() >= most) {
        return Err(ApiError::maximum_streams_limit());
    }
    check_room(engine, &config, 0)?;
    let parts = engine.parts(config.storage);
    let stream = Stream::new(engine.new_stream_id(), config, clock::now(), parts);
    Ok(Created::New(Box::new(stream)))
}

pub(super) fn update(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_update_response");
    let (stream, config) = match updated(&engine, name, request) {
        Ok(updated) => updated,
        Err(error) => return answer.give::<StreamInfo>(&mut worker.sender, Err(error)),
    };
    let changed = Arc::clone(&stream);
    let operation = Operation::Configure(Arc::new(config));
    engine.commit.operate(&stream, operation, move |result, sender| match result {
        Ok(_) => {
            answer.engine().subscribe(&changed);
            advisory::stream_action(sender, &changed.name, "modify");
            answer.give(sender, Ok(StreamInfo::of(&changed)));
        }
        Err(failure) => answer.fail(sender, &failure),
    });
}

fn updated(
    engine: &Arc<Engine>,
    name: &str,
    request: &ApiRequest,
) -> Result<(Arc<Stream>, StreamConfig), ApiError> {
    request.check_level()?;
    let StreamRequest { config, pedantic } = StreamConfig::read(&request.body)?;
    StreamConfig::check_name(&config.name)?;
    if config.name != name {
        return Err(ApiError::stream_mismatch());
    }
    let stream = engine.stream(name).ok_or_else(ApiError::stream_not_found)?;
    let config = config.with_defaults(pedantic)?;
    config.check(&engine.others(name))?;
    let before = stream.config();
    let config = before.updated(config)?;
    check_consumers(&stream, &config)?;
    check_room(engine, &config, before.max_bytes().unwrap_or(0))?;
    Ok((stream, config))
}

/// Whether the consumers that are there keep to the bounds for consumers.
fn check_consumers(stream: &Stream, config: &StreamConfig) -> Result<(), ApiError> {
    let within = |value: i64, most: i64| most <= 0 || value <= most;
    let beyond: Vec<String> = stream
        .consumers
        .all()
        .iter()
        .filter(|consumer| {
            let (consumer, limits) = (consumer.config(), &config.consumer_limits);
            !within(consumer.max_ack_pending, limits.max_ack_pending)
                || !within(consumer.inactive_threshold, limits.inactive_threshold)
        })
        .map(|consumer| consumer.name.to_string())
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let beyond = beyond.join(", ");
    Err(ApiError::stream_update_failed(format!("change to limits violates consumers: {beyond}")))
}

/// Whether what the stream keeps for itself by its limit, and did not keep `before`, is left.
fn check_room(engine: &Engine, config: &StreamConfig, before: u64) -> Result<(), ApiError> {
    let (Some(most), Some(wanted)) = (engine.usage.most(config.storage), config.max_bytes()) else {
        return Ok(());
    };
    let reserved = engine.reserved(config.storage).saturating_sub(before);
    if reserved.saturating_add(wanted) > most { Err(Usage::exceeded(config.storage)) } else { Ok(()) }
}

pub(super) fn delete(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_delete_response");
    let checked = request.check_level().and_then(|()| request.check_empty());
    let stream = match checked.and_then(|()| engine.remove(name).ok_or_else(ApiError::stream_not_found)) {
        Ok(stream) => stream,
        Err(error) => return answer.give::<Success>(&mut worker.sender, Err(error)),
    };
    for consumer in stream.consumers.clear() {
        consumer.stop(&mut worker.sender);
    }
    // Those who wait hear of it before whoever asked.
    worker.sender.flush();
    let gone = Arc::clone(&stream);
    engine.commit.operate(&stream, Operation::Drop, move |result, sender| match result {
        Ok(_) => {
            advisory::stream_action(sender, &gone.name, "delete");
            answer.give(sender, Ok(Success { success: true }));
        }
        Err(failure) => answer.fail(sender, &failure),
    });
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PurgeRequest {
    filter: String,
    seq: u64,
    keep: u64,
}

#[derive(Serialize)]
struct Purged {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    success: bool,
    purged: u64,
}

pub(super) fn purge(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_purge_response");
    let (stream, purge) = match purge_of(&engine, name, request) {
        Ok((stream, Some(purge))) => (stream, purge),
        Ok((_, None)) => return answer.give(&mut worker.sender, Ok(Purged { success: true, purged: 0 })),
        Err(error) => {
            let beside = Purged { success: false, purged: 0 };
            return answer.give_or::<Purged, _>(&mut worker.sender, Err(error), beside);
        }
    };
    stream.purge(purge, move |result, sender| match result {
        Ok(done) => answer.give(sender, Ok(Purged { success: true, purged: done.removed })),
        Err(failure) => answer.fail(sender, &failure),
    });
}

fn purge_of(
    engine: &Arc<Engine>,
    name: &str,
    request: &ApiRequest,
) -> Result<(Arc<Stream>, Option<Purge>), ApiError> {
    request.check_level()?;
    let wanted: PurgeRequest = json::read_or_default(&request.body)?;
    if (wanted.seq > 0 && wanted.keep > 0) || wanted.seq > MAX_SEQ {
        return Err(ApiError::bad_request());
    }
    let stream = engine.stream(name).ok_or_else(ApiError::stream_not_found)?;
    let config = stream.config();
    if config.sealed {
        return Err(ApiError::stream_sealed());
    }
    if config.deny_purge {
        return Err(ApiError::stream_purge_failed("stream purge not permitted"));
    }
    let filter = if wanted.filter.is_empty() {
        Filters::everything()
    } else {
        let Ok(filter) = wanted.filter.parse::<SubjectFilter>() else {
            // It matches nothing.
            return Ok((stream, None));
        };
        Filters::any_of([filter])
    };
    let bound = match (wanted.seq, wanted.keep) {
        (0, 0) => PurgeBound::All,
        (seq, 0) => PurgeBound::Before(seq),
        (_, keep) => PurgeBound::Keep(keep),
    };
    Ok((stream, Some(Purge { filter, bound })))
}
