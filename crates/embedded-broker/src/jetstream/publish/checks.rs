//! What a publisher demands by headers, in the order in which nats-server looks at it.

use busauth::SubjectFilter;

use super::{Headers, Rollup, Stream, StreamConfig, StreamState};
use crate::jetstream::{api_error::ApiError, store::Seq, ttl::Ttl};

/// The names that are looked for.
const NAMES: [&str; 12] = [
    "Nats-Stream-Source",
    "Nats-Incr",
    "Nats-Batch-Id",
    "Nats-Schedule",
    "Nats-Msg-Id",
    "Nats-Expected-Stream",
    "Nats-Expected-Last-Sequence",
    "Nats-Expected-Last-Subject-Sequence",
    "Nats-Expected-Last-Subject-Sequence-Subject",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Rollup",
    "Nats-TTL",
];

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
    ttl: Option<&'a str>,
}

impl<'a> Conditions<'a> {
    pub(super) fn read(headers: Headers<'a>) -> Result<Self, ApiError> {
        if headers.is_empty() {
            return Ok(Self::default());
        }
        let [
            source,
            counter,
            batch,
            schedule,
            msg_id,
            expected_stream,
            expected_last_seq,
            expected_last_subject_seq,
            expected_last_subject,
            expected_last_msg_id,
            rollup,
            ttl,
        ] = headers.get_all("Nats-", &NAMES);
        for (header, refusal) in [
            (source, ApiError::stream_source_not_allowed as fn() -> ApiError),
            (counter, ApiError::counters_disabled),
            (batch, ApiError::atomic_publish_disabled),
            (schedule, ApiError::schedules_disabled),
        ] {
            if header.is_some() {
                return Err(refusal());
            }
        }
        let filled = |value: Option<&'a str>| value.filter(|value| !value.is_empty());
        Ok(Self {
            msg_id: filled(msg_id),
            expected_stream: filled(expected_stream),
            expected_last_seq: filled(expected_last_seq),
            expected_last_subject_seq,
            expected_last_subject,
            expected_last_msg_id: filled(expected_last_msg_id),
            rollup: filled(rollup),
            ttl: filled(ttl),
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
        if self.ttl()?.is_some() && !config.allow_msg_ttl {
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
    pub(super) fn check_after(&self, state: &StreamState) -> Result<(), ApiError> {
        if let Some(expected) = self.expected_last_msg_id {
            let last = state.assigned.last_msg_id.as_deref().unwrap_or_default();
            if expected != last {
                return Err(ApiError::wrong_last_msg_id(last));
            }
        }
        Ok(())
    }

    /// How long the message lives.
    pub(super) fn ttl(&self) -> Result<Option<Ttl>, ApiError> {
        self.ttl.map(|text| Ttl::parse(text).ok_or_else(ApiError::message_ttl_invalid)).transpose()
    }

    /// What it replaces.
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
    let assigned = state.assigned.subjects.iter().filter(|(subject, _)| filter.matches_str(subject));
    let assigned = assigned.map(|(_, (last, _))| *last).max();
    let committed = state.committed.matching(filter).map(|(_, totals)| totals.last).max();
    assigned.max(committed).unwrap_or(0)
}
