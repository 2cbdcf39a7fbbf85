//! What a consumer is told: the shape clients send and read, defaults, and what may be changed later.

mod check;
mod update;

use std::collections::BTreeMap;

use busauth::SubjectFilter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{api_error::ApiError, clock, json, stream::Filters};

pub(crate) use check::Bounds;

/// Configuration of a consumer. Durations are nanoseconds, -1 is "no limit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsumerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) durable_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    pub(crate) deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "is_zero_unsigned")]
    pub(crate) opt_start_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opt_start_time: Option<Time>,
    pub(crate) ack_policy: AckPolicy,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ack_wait: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_deliver: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) backoff: Vec<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) filter_subjects: Vec<String>,
    pub(crate) replay_policy: ReplayPolicy,
    #[serde(skip_serializing_if = "is_zero_unsigned")]
    pub(crate) rate_limit_bps: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) sample_freq: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_waiting: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) flow_control: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) headers_only: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_batch: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_expires: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_bytes: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) deliver_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) deliver_group: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) idle_heartbeat: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) inactive_threshold: i64,
    pub(crate) num_replicas: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) mem_storage: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pause_until: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) priority_groups: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) priority_policy: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) priority_timeout: i64,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliverPolicy {
    #[default]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

/// What has to be acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AckPolicy {
    #[default]
    None,
    All,
    Explicit,
}

/// How fast messages are sent that are there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplayPolicy {
    #[default]
    Instant,
    Original,
}

json::words! {
    DeliverPolicy {
        "all" => All, "undefined" => All, "last" => Last, "new" => New, "by_start_sequence" => ByStartSequence,
        "by_start_time" => ByStartTime, "last_per_subject" => LastPerSubject
    }
    AckPolicy { "none" => None, "all" => All, "explicit" => Explicit }
    ReplayPolicy { "instant" => Instant, "original" => Original }
}

/// A time as clients write it: RFC 3339. Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) i64);

/// A request to create or change a consumer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsumerRequest {
    pub(crate) stream_name: String,
    pub(crate) config: ConsumerConfig,
    pub(crate) action: Action,
    pub(crate) pedantic: bool,
}

/// What a request may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Action {
    #[default]
    CreateOrUpdate,
    Create,
    Update,
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("") => Ok(Self::CreateOrUpdate),
            Some("create") => Ok(Self::Create),
            Some("update") => Ok(Self::Update),
            _ => Err(serde::de::Error::custom(format!("unknown consumer action: {value}"))),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&clock::rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = clock::parse(&text).map(Self);
        time.ok_or_else(|| serde::de::Error::custom(format!("parsing time {text:?}")))
    }
}

impl ConsumerRequest {
    /// Reads a request.
    pub(crate) fn read(body: &[u8]) -> Result<Self, ApiError> {
        // An empty body names no stream, which is what is then said.
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        let mut request: Self = json::read(body)?;
        request
            .config
            .metadata
            .retain(|key, _| !super::stream_config::SERVER_METADATA.contains(&key.as_str()));
        Ok(request)
    }
}

impl ConsumerConfig {
    pub(crate) fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    pub(crate) fn is_durable(&self) -> bool {
        !self.durable_name.is_empty()
    }

    pub(crate) fn group(&self) -> Option<&str> {
        Some(self.deliver_group.as_str()).filter(|group| !group.is_empty())
    }

    /// Most deliveries of one message.
    pub(crate) fn max_deliver(&self) -> Option<u64> {
        u64::try_from(self.max_deliver).ok().filter(|most| *most > 0)
    }

    /// Most messages that wait for an acknowledgement.
    pub(crate) fn max_ack_pending(&self) -> Option<usize> {
        let most = usize::try_from(self.max_ack_pending).ok().filter(|most| *most > 0);
        most.filter(|_| self.ack_policy != AckPolicy::None)
    }

    /// Nanoseconds until the delivery with this number counts as lost.
    pub(crate) fn ack_wait(&self, delivery: u64) -> i64 {
        let at = usize::try_from(delivery.saturating_sub(1)).unwrap_or(usize::MAX);
        match self.backoff.last() {
            None => self.ack_wait,
            Some(last) => *self.backoff.get(at).unwrap_or(last),
        }
    }

    /// Whether it names a filter, be it one that matches everything.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.filter_subject.is_empty() || !self.filter_subjects.is_empty()
    }

    /// What it reads. Checked when the configuration was.
    pub(crate) fn filters(&self) -> Filters {
        let one = Some(self.filter_subject.as_str()).filter(|subject| !subject.is_empty());
        let all = one.into_iter().chain(self.filter_subjects.iter().map(String::as_str));
        Filters::any_of(all.filter_map(|subject| subject.parse::<SubjectFilter>().ok()))
    }

    /// The share of acknowledgements that is reported: percent.
    pub(crate) fn sample_percent(&self) -> u8 {
        let text = self.sample_freq.strip_suffix('%').unwrap_or(&self.sample_freq);
        text.parse::<i64>().map_or(0, |percent| u8::try_from(percent.clamp(0, 100)).unwrap_or(0))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero_unsigned(value: &u64) -> bool {
    *value == 0
}
