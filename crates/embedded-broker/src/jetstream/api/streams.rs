//! `STREAM.…`: making, changing, describing and deleting streams.

mod absent;
mod changes;
mod listing;

use serde::Serialize;

use super::{API_LEVEL, Answer, ApiRequest, messages};
use crate::{
    broker::COMPATIBLE_VERSION,
    jetstream::{api_error::ApiError, clock, scheduler::Worker, stream::Stream, stream_config::StreamConfig},
};

/// A stream as clients see it.
#[derive(Serialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: StreamConfig,
    pub(crate) created: String,
    pub(crate) state: StateInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
    ts: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    did_create: bool,
}

#[derive(Serialize)]
struct Cluster {
    leader: String,
}

/// What a stream holds.
#[derive(Serialize)]
pub(crate) struct StateInfo {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: String,
    last_seq: u64,
    last_ts: String,
    #[serde(skip_serializing_if = "is_zero")]
    num_subjects: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "is_zero")]
    num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<u64>,
    consumer_count: u64,
}

/// Where one page of a list begins, and how long it can be.
#[derive(Serialize)]
pub(crate) struct Paging {
    pub(crate) total: usize,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

pub(super) fn handle(verb: &str, rest: &[&str], request: &ApiRequest, worker: &mut Worker) -> bool {
    match (verb, rest) {
        ("CREATE", [name]) => changes::create(name, request, worker),
        ("UPDATE", [name]) => changes::update(name, request, worker),
        ("DELETE", [name]) => changes::delete(name, request, worker),
        ("PURGE", [name]) => changes::purge(name, request, worker),
        ("INFO", [name]) => listing::info(name, request, worker),
        ("NAMES", []) => listing::names(request, worker),
        ("LIST", []) => listing::list(request, worker),
        ("MSG", ["GET", name]) => messages::get(name, request, worker),
        ("MSG", ["DELETE", name]) => messages::delete(name, request, worker),
        ("SNAPSHOT", [name]) => absent::snapshot(name, request, worker),
        ("RESTORE", [_]) => absent::restore(request, worker),
        ("LEADER", ["STEPDOWN", _]) => {
            refuse(request, worker, "stream_leader_stepdown_response", ApiError::cluster_required());
        }
        ("PEER", ["REMOVE", _]) => {
            refuse(request, worker, "stream_remove_peer_response", ApiError::cluster_required());
        }
        _ => return false,
    }
    true
}

fn refuse(request: &ApiRequest, worker: &mut Worker, kind: &'static str, error: ApiError) {
    let answer = Answer::new(&worker.engine, request, kind);
    answer.give::<super::answer::Nothing>(&mut worker.sender, Err(error));
}

impl Paging {
    /// Of an answer without a list.
    fn nowhere() -> Self {
        Self { total: 0, offset: 0, limit: 0 }
    }
}

impl StreamInfo {
    /// A stream at this moment.
    pub(crate) fn of(stream: &Stream) -> Self {
        let mut info = Self::listed(stream);
        let metadata = &mut info.config.metadata;
        metadata.insert("_nats.ver".to_owned(), COMPATIBLE_VERSION.to_owned());
        metadata.insert("_nats.level".to_owned(), API_LEVEL.to_string());
        info
    }

    /// A stream at this moment, as lists show it.
    pub(crate) fn listed(stream: &Stream) -> Self {
        let totals = stream.totals();
        let first = stream.get(totals.first_seq).ok().flatten();
        let held = (totals.last_seq + 1).saturating_sub(totals.first_seq);
        Self {
            config: (*stream.config()).clone(),
            created: clock::rfc3339(stream.created),
            state: StateInfo {
                messages: totals.messages,
                bytes: totals.bytes,
                first_seq: stream.first_seq_shown(),
                first_ts: clock::rfc3339(first.map_or(0, |record| record.time)),
                last_seq: totals.last_seq,
                last_ts: clock::rfc3339(totals.last_time),
                num_subjects: stream.num_subjects() as u64,
                subjects: None,
                num_deleted: held.saturating_sub(totals.messages),
                deleted: Vec::new(),
                consumer_count: stream.consumers.len() as u64,
            },
            cluster: None,
            ts: clock::rfc3339(clock::now()),
            did_create: false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
