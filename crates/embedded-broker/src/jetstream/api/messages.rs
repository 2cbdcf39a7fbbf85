//! `STREAM.MSG.…`: one message of a stream.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use busauth::SubjectFilter;
use serde::{Deserialize, Serialize};

use super::{Answer, ApiRequest, answer::Success};
use crate::jetstream::{
    api_error::ApiError,
    clock,
    commit::Operation,
    engine::Engine,
    json,
    scheduler::Worker,
    store::{Record, Seq, StoreError},
    stream::{Filters, Stream},
    stream_config::Storage,
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GetRequest {
    seq: u64,
    last_by_subj: String,
    next_by_subj: String,
    start_time: String,
    batch: i64,
    max_bytes: i64,
    multi_last: Vec<String>,
    up_to_seq: u64,
    up_to_time: String,
    no_hdr: bool,
}

#[derive(Serialize)]
struct Found {
    message: Message,
}

#[derive(Serialize)]
struct Message {
    subject: String,
    seq: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    hdrs: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    data: String,
    time: String,
}

pub(super) fn get(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_msg_get_response");
    let found = found(&engine, name, request);
    answer.give(&mut worker.sender, found);
}

fn found(engine: &Engine, name: &str, request: &ApiRequest) -> Result<Found, ApiError> {
    request.check_level()?;
    if request.body.trim_ascii().is_empty() {
        return Err(ApiError::bad_request());
    }
    let wanted: GetRequest = json::read(&request.body)?;
    let stream = engine.stream(name).ok_or_else(ApiError::stream_not_found)?;
    let no_hdr = wanted.no_hdr;
    let (seq, record) = look_up_settled(engine, stream, wanted)?.ok_or_else(ApiError::no_message_found)?;
    let (headers, data) = record.data.split_at(record.header_len);
    Ok(Found {
        message: Message {
            subject: record.subject.to_string(),
            seq,
            hdrs: if no_hdr { String::new() } else { STANDARD.encode(headers) },
            data: STANDARD.encode(data),
            time: clock::rfc3339(record.time),
        },
    })
}

/// Looks a message up. Whether there is none is known between groups only: a group may have replaced what it was, and not
/// made that durable yet.
fn look_up_settled(
    engine: &Engine,
    stream: Arc<Stream>,
    wanted: GetRequest,
) -> Result<Option<(Seq, Record)>, ApiError> {
    if let Some(found) = stream.between_groups(|| look_up(&stream, &wanted)) {
        return found;
    }
    if let Some(found) = look_up(&stream, &wanted)? {
        return Ok(Some(found));
    }
    let look = move || stream.between_groups(|| look_up(&stream, &wanted));
    let unsettled = || ApiError::store_failed("it is not known yet what the stream holds");
    engine.commit.between_groups(look).flatten().ok_or_else(unsettled)?
}

fn look_up(stream: &Stream, wanted: &GetRequest) -> Result<Option<(Seq, Record)>, ApiError> {
    let last_by = !wanted.last_by_subj.is_empty();
    let next_by = !wanted.next_by_subj.is_empty();
    let timed = !wanted.start_time.is_empty();
    let nothing = wanted.seq == 0 && !last_by && !next_by && !timed;
    let of_direct_get = wanted.batch != 0
        || wanted.max_bytes != 0
        || !wanted.multi_last.is_empty()
        || wanted.up_to_seq != 0
        || !wanted.up_to_time.is_empty();
    if nothing
        || of_direct_get
        || (last_by && (wanted.seq > 0 || next_by || timed))
        || (timed && wanted.seq > 0)
    {
        return Err(ApiError::bad_request());
    }
    let filter = |subject: &str| -> Result<Filters, ApiError> {
        let filter: SubjectFilter = subject.parse().map_err(|_| ApiError::bad_request())?;
        Ok(Filters::any_of([filter]))
    };
    let found = if last_by {
        stream.last(&filter(&wanted.last_by_subj)?, Seq::MAX)
    } else if next_by || timed {
        let filters = if next_by { filter(&wanted.next_by_subj)? } else { Filters::everything() };
        let from = if timed {
            let time = clock::parse(&wanted.start_time).ok_or_else(ApiError::bad_request)?;
            stream.seq_at(time).map_err(|error| failed(&error))?
        } else {
            wanted.seq.max(1)
        };
        stream.next(&filters, from)
    } else {
        stream.get(wanted.seq).map(|record| record.map(|record| (wanted.seq, record)))
    };
    found.map_err(|error| failed(&error))
}

fn failed(error: &StoreError) -> ApiError {
    tracing::error!(%error, "a message cannot be read");
    ApiError::store_failed("message cannot be read")
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DeleteRequest {
    seq: Option<u64>,
    /// Whether the bytes may stay on disk. They leave it when the storage engine rewrites its files, either way.
    no_erase: bool,
}

pub(super) fn delete(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_msg_delete_response");
    let (stream, seq) = match to_delete(&engine, name, request) {
        Ok(found) => found,
        Err(error) => return answer.give::<Success>(&mut worker.sender, Err(error)),
    };
    let of = Arc::clone(&stream);
    engine.commit.operate(&stream, Operation::Delete(seq), move |result, sender| match result {
        Ok(done) if done.removed == 0 => answer.give::<Success>(sender, Err(not_there(&of, seq))),
        Ok(_) => answer.give(sender, Ok(Success { success: true })),
        Err(failure) => answer.fail(sender, &failure),
    });
}

/// What nats-server's stores say.
fn not_there(stream: &Stream, seq: Seq) -> ApiError {
    match stream.storage {
        Storage::File if seq > stream.last_seq() => ApiError::stream_msg_delete_failed("stream store EOF"),
        Storage::File if seq < stream.first_seq() => ApiError::stream_msg_delete_failed("no message found"),
        _ => ApiError::sequence_not_found(seq),
    }
}

fn to_delete(engine: &Engine, name: &str, request: &ApiRequest) -> Result<(Arc<Stream>, Seq), ApiError> {
    request.check_level()?;
    if request.body.trim_ascii().is_empty() {
        return Err(ApiError::bad_request());
    }
    let DeleteRequest { seq, .. } = json::read(&request.body)?;
    // Clients that leave it out meant something else.
    let seq = seq.ok_or_else(ApiError::bad_request)?;
    let stream = engine.stream(name).ok_or_else(ApiError::stream_not_found)?;
    let config = stream.config();
    if config.sealed {
        return Err(ApiError::stream_sealed());
    }
    if config.deny_delete {
        return Err(ApiError::stream_msg_delete_failed("message delete not permitted"));
    }
    Ok((stream, seq))
}
