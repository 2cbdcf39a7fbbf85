//! `INFO`: what all streams hold together, and what bounds them.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use serde::Serialize;

use super::{API_LEVEL, Answer, ApiRequest};
use crate::jetstream::{engine::Engine, scheduler::Worker, stream_config::Storage};

#[derive(Serialize)]
struct AccountInfo {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    streams: usize,
    consumers: usize,
    limits: AccountLimits,
    api: ApiInfo,
}

#[derive(Serialize)]
struct AccountLimits {
    max_memory: i64,
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
    max_ack_pending: i64,
    memory_max_stream_bytes: i64,
    storage_max_stream_bytes: i64,
    max_bytes_required: bool,
}

#[derive(Serialize)]
struct ApiInfo {
    level: u64,
    total: u64,
    errors: u64,
}

pub(super) fn account(request: &ApiRequest, worker: &mut Worker) -> bool {
    let engine = Arc::clone(&worker.engine);
    let answer = Answer::new(&engine, request, "account_info_response");
    let info = request.check_level().map(|()| account_info(&engine));
    answer.give(&mut worker.sender, info);
    true
}

fn account_info(engine: &Engine) -> AccountInfo {
    let number = |limit: Option<u64>| limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
    let count = |limit: Option<usize>| number(limit.map(|limit| limit as u64));
    AccountInfo {
        memory: engine.usage.held(Storage::Memory),
        storage: engine.usage.held(Storage::File),
        reserved_memory: engine.reserved(Storage::Memory),
        reserved_storage: engine.reserved(Storage::File),
        streams: engine.num_streams(),
        consumers: engine.streams().iter().map(|stream| stream.consumers.len()).sum(),
        limits: AccountLimits {
            max_memory: number(engine.limits.max_memory),
            max_storage: number(engine.limits.max_storage),
            max_streams: count(engine.limits.max_streams),
            max_consumers: count(engine.limits.max_consumers),
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            storage_max_stream_bytes: -1,
            max_bytes_required: false,
        },
        api: ApiInfo {
            level: API_LEVEL,
            total: engine.counters.total.load(Relaxed),
            errors: engine.counters.errors.load(Relaxed),
        },
    }
}
