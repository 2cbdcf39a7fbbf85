//! What a stream is told: the shape clients send and read, defaults, and what may be changed later.
//!
//! Members and their presence are nats-server's. What this broker does not offer is refused with an error where
//! nats-server would do something with it, and carried where it has no meaning on one machine (placement,
//! compression).

mod check;
mod update;

use std::collections::BTreeMap;

use busauth::SubjectFilter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{api_error::ApiError, json};

pub(crate) use check::Existing;

/// Configuration of a stream. Numbers follow nats-server: durations in nanoseconds, -1 for "no limit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the members that clients send")]
pub(crate) struct StreamConfig {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<String>,
    pub(crate) retention: Retention,
    pub(crate) max_consumers: i64,
    pub(crate) max_msgs: i64,
    pub(crate) max_bytes: i64,
    pub(crate) max_age: i64,
    pub(crate) max_msgs_per_subject: i64,
    pub(crate) max_msg_size: i64,
    pub(crate) discard: Discard,
    pub(crate) storage: Storage,
    pub(crate) num_replicas: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) no_ack: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) duplicate_window: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) placement: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sources: Option<Value>,
    pub(crate) compression: Compression,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject_transform: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) republish: Option<Value>,
    pub(crate) sealed: bool,
    pub(crate) deny_delete: bool,
    pub(crate) deny_purge: bool,
    pub(crate) allow_rollup_hdrs: bool,
    pub(crate) allow_direct: bool,
    pub(crate) mirror_direct: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) discard_new_per_subject: bool,
    pub(crate) consumer_limits: ConsumerLimits,
    pub(crate) allow_msg_ttl: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) subject_delete_marker_ttl: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) allow_msg_counter: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) allow_atomic: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) allow_msg_schedules: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) persist_mode: Option<PersistMode>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) allow_batched: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Bounds for consumers of a stream that name none themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsumerLimits {
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) inactive_threshold: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_ack_pending: i64,
}

/// When messages leave a stream, besides its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Retention {
    #[default]
    Limits,
    Interest,
    WorkQueue,
}

/// What gives way when a stream is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Discard {
    #[default]
    Old,
    New,
}

/// Where messages are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Storage {
    #[default]
    File,
    Memory,
}

/// Carried only: the storage engine decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    #[default]
    None,
    S2,
}

/// Carried only: what is acknowledged is durable, as the broker is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PersistMode {
    #[default]
    Default,
    Async,
}

json::words! {
    Retention { "limits" => Limits, "interest" => Interest, "workqueue" => WorkQueue }
    Discard { "old" => Old, "new" => New }
    Storage { "file" => File, "memory" => Memory }
    PersistMode { "default" => Default, "async" => Async }
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*String::deserialize(deserializer)? {
            "none" => Ok(Self::None),
            "s2" => Ok(Self::S2),
            _ => Err(serde::de::Error::custom("unknown compression algorithm")),
        }
    }
}

/// Metadata that the server keeps: what a client sends of it is not believed.
pub(crate) const SERVER_METADATA: [&str; 2] = ["_nats.ver", "_nats.level"];

/// The API level a stream's configuration needs.
pub(crate) const REQUIRED_LEVEL: &str = "_nats.req.level";

impl StreamConfig {
    /// Most messages.
    pub(crate) fn max_msgs(&self) -> Option<u64> {
        limit(self.max_msgs)
    }

    /// Most bytes, as JetStream counts them.
    pub(crate) fn max_bytes(&self) -> Option<u64> {
        limit(self.max_bytes)
    }

    /// Whether its oldest messages make room for new ones.
    pub(crate) fn discards_oldest(&self) -> bool {
        self.discard == Discard::Old && (self.max_msgs().is_some() || self.max_bytes().is_some())
    }

    /// Most messages of one subject.
    pub(crate) fn max_msgs_per_subject(&self) -> Option<u64> {
        limit(self.max_msgs_per_subject)
    }

    /// Largest message, headers included.
    pub(crate) fn max_msg_size(&self) -> Option<u64> {
        limit(self.max_msg_size)
    }

    /// Most consumers.
    pub(crate) fn max_consumers(&self) -> Option<u64> {
        limit(self.max_consumers)
    }

    /// Nanoseconds after which a message is removed.
    pub(crate) fn max_age(&self) -> Option<i64> {
        (self.max_age > 0).then_some(self.max_age)
    }

    /// Nanoseconds within which a message id counts as seen; 0 never.
    pub(crate) fn duplicate_window(&self) -> i64 {
        self.duplicate_window
    }

    /// What the stream takes. Checked when the configuration was.
    pub(crate) fn filters(&self) -> Vec<SubjectFilter> {
        self.subjects.iter().filter_map(|subject| subject.parse().ok()).collect()
    }

    /// Reads a request.
    pub(crate) fn read(body: &[u8]) -> Result<StreamRequest, ApiError> {
        // An empty body names no stream, which is what is then said.
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        let mut request: StreamRequest = json::read(body)?;
        request.config.metadata.retain(|key, _| !SERVER_METADATA.contains(&key.as_str()));
        Ok(request)
    }
}

/// A request to create or update a stream.
#[derive(Debug)]
pub(crate) struct StreamRequest {
    pub(crate) config: StreamConfig,
    /// Refuse what would be changed by a default.
    pub(crate) pedantic: bool,
}

impl<'de> Deserialize<'de> for StreamRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        // Flattening would switch the refusal of unknown members off.
        let mut members = serde_json::Map::deserialize(deserializer)?;
        let pedantic = match members.remove("pedantic") {
            None | Some(Value::Null) => false,
            Some(value) => bool::deserialize(value).map_err(D::Error::custom)?,
        };
        let config = StreamConfig::deserialize(Value::Object(members)).map_err(D::Error::custom)?;
        Ok(Self { config, pedantic })
    }
}

fn limit(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| *value > 0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}
