//! Snapshots, which this broker does not take: a copy of the store's directory is one. Requests that could not be
//! followed by anybody are told so.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::jetstream::{
    api::{Answer, ApiRequest, answer::Nothing},
    api_error::ApiError,
    json,
    scheduler::Worker,
};

const NOT_OFFERED: &str = "snapshots are not offered by this server";

/// What stands beside the refusal of a restore.
#[derive(Serialize)]
struct NoPlace {
    deliver_subject: &'static str,
}

pub(super) fn snapshot(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_snapshot_response");
    let checked = members(request).and_then(|asked| {
        let _stream = engine.stream(name).ok_or_else(ApiError::stream_not_found)?;
        let place = asked.get("deliver_subject").and_then(Value::as_str).unwrap_or_default();
        Err(if place.is_empty() { ApiError::bad_request() } else { ApiError::stream_snapshot(NOT_OFFERED) })
    });
    answer.give::<Nothing>(&mut worker.sender, checked);
}

pub(super) fn restore(request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "stream_restore_response");
    let checked = members(request).and_then(|asked| {
        let has_config =
            asked.get("config").and_then(Value::as_object).is_some_and(|config| !config.is_empty());
        Err(if has_config { ApiError::stream_restore(NOT_OFFERED) } else { ApiError::bad_request() })
    });
    answer.give_or::<Nothing, _>(&mut worker.sender, checked, NoPlace { deliver_subject: "" });
}

fn members(request: &ApiRequest) -> Result<Map<String, Value>, ApiError> {
    request.check_level()?;
    if request.body.trim_ascii().is_empty() {
        return Err(ApiError::bad_request());
    }
    json::read(&request.body)
}
