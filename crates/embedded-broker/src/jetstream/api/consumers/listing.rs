//! Describing consumers.

use serde::{Deserialize, Serialize};

use super::find;
use crate::jetstream::{
    api::{Answer, ApiRequest, streams::Paging},
    api_error::ApiError,
    consumer::{Consumer, ConsumerInfo},
    json,
    scheduler::Worker,
};

/// Names in one answer.
const NAMES: usize = 1024;

/// Descriptions in one answer.
const DESCRIPTIONS: usize = 256;

#[derive(Serialize)]
struct List<T> {
    #[serde(flatten)]
    paging: Paging,
    consumers: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListRequest {
    offset: i64,
}

impl<T> List<T> {
    fn empty() -> Self {
        Self { paging: Paging { total: 0, offset: 0, limit: 0 }, consumers: Vec::new() }
    }
}

pub(super) fn info(stream: &str, name: &str, request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "consumer_info_response");
    let checked = request.check_level().and_then(|()| request.check_empty());
    let info = checked.and_then(|()| find(worker, stream, name)).map(|consumer| consumer.info());
    answer.give(&mut worker.sender, info);
}

pub(super) fn names(stream: &str, request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "consumer_names_response");
    let list = page(worker, stream, request, NAMES, |consumer| consumer.name.to_string());
    answer.give_or(&mut worker.sender, list, List::<String>::empty());
}

pub(super) fn list(stream: &str, request: &ApiRequest, worker: &mut Worker) {
    let answer = Answer::new(&worker.engine, request, "consumer_list_response");
    let list: Result<List<ConsumerInfo>, _> = page(worker, stream, request, DESCRIPTIONS, Consumer::listed);
    answer.give_or(&mut worker.sender, list, List::<String>::empty());
}

fn page<T>(
    worker: &Worker,
    stream: &str,
    request: &ApiRequest,
    limit: usize,
    show: impl Fn(&Consumer) -> T,
) -> Result<List<T>, ApiError> {
    request.check_level()?;
    let wanted: ListRequest = json::read_or_default(&request.body)?;
    let stream = worker.engine.stream(stream).ok_or_else(ApiError::stream_not_found)?;
    let all = stream.consumers.all();
    let offset = usize::try_from(wanted.offset).unwrap_or(0).min(all.len());
    let consumers = all.iter().skip(offset).take(limit).map(|consumer| show(consumer)).collect();
    Ok(List { paging: Paging { total: all.len(), offset, limit }, consumers })
}
