//! What a publisher demands by headers, in the order in which nats-server looks at it.

use busauth::SubjectFilter;

use super::{Headers, Rollup, Stream, StreamConfig, StreamState};
use crate::jetstream::{api_error::ApiError, store::Seq, stream::Filters};

/// The API level this broker has; what a message requires is compared with it.
const API_LEVEL: u64 = 1;

/// The headers of one message that mean something here.
#[derive(Debug, Default)]
pub(super) struct Conditions<'a> {
    pub(super) msg_id: Option<&'a str>,
    expected_stream: Option<&'a str>,
    expected_last_seq: Option<&'a str>,
    expected_last_subject_seq: Option<&'a str>,
    expected_last_subject: Option<&'a str>,
    expected_last_msg_id: Option<&'a str>,
    rollup: Option<&'a str>,
    pub(super) ttl: Option<&'a str>,
}

impl<'a> Conditions<'a> {
    pub(super) fn read(headers: Headers<'a>) -> Result<Self, ApiError> {
        if !headers.any_begins_with("Nats-") {
            return Ok(Self::default());
        }
        if let Some(level) = headers.get("Nats-Required-Api-Level")
            && level.parse::<u64>().ok().is_none_or(|level| level > API_LEVEL)
        {
            return Err(ApiError::required_api_level());
        }
        for (header, refusal) in [
            ("Nats-Incr", ApiError::counters_disabled as fn() -> ApiError),
            ("Nats-Batch-Id", ApiError::atomic_publish_disabled),
            ("Nats-Schedule", ApiError::schedules_disabled),
        ] {
            if headers.get(header).is_some() {
                return Err(refusal());
            }
        }
        Ok(Self {
            msg_id: headers.get("Nats-Msg-Id").filter(|id| !id.is_empty()),
            expected_stream: headers.get("Nats-Expected-Stream").filter(|name| !name.is_empty()),
            expected_last_seq: headers.get("Nats-Expected-Last-Sequence"),
            expected_last_subject_seq: headers.get("Nats-Expected-Last-Subject-Sequence"),
            expected_last_subject: headers.get("Nats-Expected-Last-Subject-Sequence-Subject"),
            expected_last_msg_id: headers.get("Nats-Expected-Last-Msg-Id").filter(|id| !id.is_empty()),
            rollup: headers.get("Nats-Rollup").filter(|value| !value.is_empty()),
            ttl: headers.get("Nats-TTL").filter(|value| !value.is_empty()),
        })
    }

    /// What is looked at before duplicates are.
    pub(super) fn check_before(
        &self,
        stream: &Stream,
        state: &StreamState,
        config: &StreamConfig,
        subject: &str,
    ) -> Result<(), ApiError> {
        if self.expected_stream.is_some_and(|expected| expected != &*stream.name) {
            return Err(ApiError::stream_not_match());
        }
        if self.ttl.is_some() && !config.allow_msg_ttl {
            return Err(ApiError::message_ttl_disabled());
        }
        self.check_last_of_subject(state, subject)?;
        if let Some(expected) = self.expected_last_seq {
            let last = state.assigned.last_seq;
            if expected.parse() != Ok(last) {
                return Err(ApiError::wrong_last_sequence(last));
            }
        }
        Ok(())
    }

    fn check_last_of_subject(&self, state: &StreamState, subject: &str) -> Result<(), ApiError> {
        let Some(expected) = self.expected_last_subject_seq else {
            return match self.expected_last_subject {
                Some(_) => Err(ApiError::missing_expected_sequence()),
                None => Ok(()),
            };
        };
        let last = match self.expected_last_subject {
            None => state.last_of(subject),
            Some(filter) => match filter.parse::<SubjectFilter>() {
                Ok(filter) => last_of_filter(state, &filter),
                Err(_) => 0,
            },
        };
        if expected.parse() == Ok(last) { Ok(()) } else { Err(ApiError::wrong_last_sequence(last)) }
    }

    /// What is looked at after duplicates were.
    pub(super) fn check_after(&self, state: &StreamState, _config: &StreamConfig) -> Result<(), ApiError> {
        if let Some(expected) = self.expected_last_msg_id {
            let last = state.assigned.last_msg_id.as_deref().unwrap_or_default();
            if expected != last {
                return Err(ApiError::wrong_last_msg_id(last));
            }
        }
        Ok(())
    }

    pub(super) fn rollup(&self, config: &StreamConfig) -> Result<Option<Rollup>, ApiError> {
        let Some(value) = self.rollup else { return Ok(None) };
        if !config.allow_rollup_hdrs || config.deny_purge {
            return Err(ApiError::rollup_failed("rollup not permitted"));
        }
        match value.to_ascii_lowercase().as_str() {
            "sub" => Ok(Some(Rollup::Subject)),
            "all" => Ok(Some(Rollup::Stream)),
            _ => Err(ApiError::rollup_failed(format!("rollup value invalid: {value:?}"))),
        }
    }
}

/// The last sequence of all subjects a filter matches, assigned ones included.
fn last_of_filter(state: &StreamState, filter: &SubjectFilter) -> Seq {
    if !filter.has_wildcard() {
        return state.last_of(filter.as_str());
    }
    let filters = Filters::any_of([filter.clone()]);
    let assigned = state.assigned.subjects.iter().filter(|(subject, _)| filters.matches(subject));
    let committed = state.committed.subjects.iter().filter(|(subject, _)| filters.matches(subject));
    let assigned = assigned.map(|(_, (last, _))| *last).max();
    assigned.max(committed.map(|(_, totals)| totals.last).max()).unwrap_or(0)
}
