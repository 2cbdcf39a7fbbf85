//! Describing streams.

use std::sync::Arc;

use busauth::SubjectFilter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cluster, Paging, StreamInfo};
use crate::jetstream::{
    api::{Answer, ApiRequest},
    api_error::ApiError,
    engine::Engine,
    json,
    scheduler::Worker,
    stream::{Filters, Stream},
};

/// Names in one answer.
const NAMES: usize = 1024;

/// Descriptions in one answer.
const DESCRIPTIONS: usize = 256;

/// Subjects in one answer.
const SUBJECTS: usize = 100_000;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct InfoRequest {
    offset: i64,
    deleted_details: bool,
    subjects_filter: String,
}

#[derive(Serialize)]
struct InfoAnswer {
    #[serde(flatten)]
    paging: Paging,
    #[serde(flatten)]
    info: StreamInfo,
}

pub(super) fn info(name: &str, request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_info_response");
    let info = described(&engine, name, request);
    answer.give_or(&mut worker.sender, info, Paging::nowhere());
}

fn described(engine: &Engine, name: &str, request: &ApiRequest) -> Result<InfoAnswer, ApiError> {
    request.check_level()?;
    let wanted: InfoRequest = json::read_or_default(&request.body)?;
    let stream = engine.stream(name).ok_or_else(ApiError::stream_not_found)?;
    let mut info = StreamInfo::of(&stream);
    info.cluster = Some(Cluster { leader: engine.server_name.to_string() });
    if wanted.deleted_details {
        info.state.deleted = stream.deleted(SUBJECTS).unwrap_or_default();
    }
    let mut paging = Paging::nowhere();
    if !wanted.subjects_filter.is_empty() {
        let (subjects, total) = match wanted.subjects_filter.parse() {
            Ok(filter) => subjects(&stream, filter, page_at(wanted.offset)),
            // It matches nothing.
            Err(_) => (serde_json::Map::new(), 0),
        };
        if total > 0 {
            paging = Paging { total, offset: page_at(wanted.offset), limit: SUBJECTS };
        }
        info.state.subjects = Some(subjects).filter(|subjects| !subjects.is_empty());
    }
    Ok(InfoAnswer { paging, info })
}

fn subjects(
    stream: &Stream,
    filter: SubjectFilter,
    offset: usize,
) -> (serde_json::Map<String, Value>, usize) {
    let subjects = stream.subjects(&Filters::any_of([filter]), usize::MAX);
    let total = subjects.len();
    let page = subjects.into_iter().skip(offset).take(SUBJECTS);
    (page.map(|(subject, totals)| (subject.to_string(), totals.count.into())).collect(), total)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListRequest {
    offset: i64,
    subject: String,
}

#[derive(Serialize)]
struct Names {
    #[serde(flatten)]
    paging: Paging,
    /// `null` when there is none, as nats-server writes it.
    streams: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Descriptions {
    #[serde(flatten)]
    paging: Paging,
    streams: Vec<StreamInfo>,
}

pub(super) fn names(request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_names_response");
    let page = page(&engine, request, NAMES).map(|(streams, paging)| {
        let names: Vec<_> = streams.iter().map(|stream| stream.name.to_string()).collect();
        Names { paging, streams: Some(names).filter(|names| !names.is_empty()) }
    });
    answer.give_or(&mut worker.sender, page, Names { paging: Paging::nowhere(), streams: None });
}

pub(super) fn list(request: &ApiRequest, worker: &mut Worker) {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "stream_list_response");
    let page = page(&engine, request, DESCRIPTIONS).map(|(streams, paging)| Descriptions {
        paging,
        streams: streams.iter().map(|stream| StreamInfo::listed(stream)).collect(),
    });
    let beside = Descriptions { paging: Paging::nowhere(), streams: Vec::new() };
    answer.give_or(&mut worker.sender, page, beside);
}

fn page(engine: &Engine, request: &ApiRequest, limit: usize) -> Result<(Vec<Arc<Stream>>, Paging), ApiError> {
    request.check_level()?;
    let wanted: ListRequest = json::read_or_default(&request.body)?;
    let filter: Option<SubjectFilter> = match wanted.subject.as_str() {
        "" => None,
        subject => Some(subject.parse().map_err(|_| ApiError::bad_request())?),
    };
    let offset = page_at(wanted.offset);
    let (streams, total) = engine.page(filter.as_ref(), offset, limit);
    Ok((streams, Paging { total, offset: offset.min(total), limit }))
}

/// Before the beginning is the beginning.
fn page_at(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(0)
}
