//! What requests and publishers are refused with: nats-server's codes and texts, which clients act on.

use std::borrow::Cow;

use serde::Serialize;

use super::commit::Failure;

/// An error as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{description} ({err_code})")]
pub(crate) struct ApiError {
    /// Like a status of HTTP.
    code: u16,
    /// What clients compare.
    err_code: u16,
    description: Cow<'static, str>,
}

/// Errors whose text is always the same.
macro_rules! fixed {
    ($($name:ident => $code:literal, $err_code:literal, $text:literal;)*) => {
        impl ApiError {
            $(
                #[doc = concat!("`", $text, "`")]
                pub(crate) fn $name() -> Self {
                    Self { code: $code, err_code: $err_code, description: Cow::Borrowed($text) }
                }
            )*
        }
    };
}

/// Errors whose text says more.
macro_rules! explained {
    ($($name:ident => $code:literal, $err_code:literal, $text:literal;)*) => {
        impl ApiError {
            $(
                #[doc = concat!("`", $text, "`")]
                pub(crate) fn $name(what: impl std::fmt::Display) -> Self {
                    Self { code: $code, err_code: $err_code, description: Cow::Owned(format!($text, what)) }
                }
            )*
        }
    };
}

fixed! {
    bad_request => 400, 10003, "bad request";
    cluster_required => 503, 10010, "JetStream clustering support required";
    required_api_level => 412, 10185, "JetStream minimum api level required";
    not_empty_request => 400, 10038, "expected an empty request payload";
    storage_resources_exceeded => 500, 10047, "insufficient storage resources available";
    memory_resources_exceeded => 500, 10028, "insufficient memory resources available";
    stream_not_found => 404, 10059, "stream not found";
    stream_mismatch => 400, 10056, "stream name in subject does not match request";
    stream_name_exists => 400, 10058, "stream name already in use with a different configuration";
    stream_name_contains_path_separators => 400, 10128, "Stream name can not contain path separators";
    stream_subject_overlap => 400, 10065, "subjects overlap with an existing stream";
    stream_sealed => 400, 10109, "invalid operation on sealed stream";
    maximum_streams_limit => 400, 10027, "maximum number of streams reached";
    replicas_not_supported => 500, 10074, "replicas > 1 not supported in non-clustered mode";
    replicas_count_negative => 400, 10133, "replicas count cannot be negative";
    mirror_with_subjects => 400, 10034, "stream mirrors can not contain subjects";
    mirror_with_sources => 400, 10031, "stream mirrors can not also contain other sources";
    mirror_with_first_seq => 400, 10143, "stream mirrors can not have first sequence configured";
    no_message_found => 404, 10037, "no message found";
    stream_not_match => 400, 10060, "expected stream does not match";
    missing_expected_sequence => 400, 10193, "missing sequence for expected last sequence per subject";
    message_exceeds_maximum => 400, 10054, "message size exceeds maximum allowed";
    header_exceeds_maximum => 400, 10097, "header size exceeds maximum allowed of 64k";
    message_ttl_invalid => 400, 10165, "invalid per-message TTL";
    message_ttl_disabled => 400, 10166, "per-message TTL is disabled";
    counters_disabled => 400, 10168, "message counters is disabled";
    atomic_publish_disabled => 400, 10174, "atomic publish is disabled";
    stream_source_not_allowed => 400, 10227, "message stream source header is not allowed";
    schedules_disabled => 400, 10188, "message schedules is disabled";
    consumer_invalid_priority_group => 400, 10160, "Provided priority group does not exist for this consumer";
    consumer_not_found => 404, 10014, "consumer not found";
    consumer_name_exists => 400, 10013, "consumer name already in use";
    consumer_already_exists => 400, 10148, "consumer already exists";
    consumer_does_not_exist => 400, 10149, "consumer does not exist";
    consumer_durable_name_mismatch => 400, 10017, "consumer name in subject does not match durable name in request";
    consumer_durable_name_not_set => 400, 10018, "consumer expected to be durable but a durable name was not set";
    consumer_ephemeral_with_durable_name => 400, 10020, "consumer expected to be ephemeral but a durable name was set in request";
    consumer_name_contains_path_separators => 400, 10127, "Consumer name can not contain path separators";
    consumer_filter_mismatch => 400, 10131, "Consumer create request did not match filtered subject from create subject";
    consumer_duplicate_filter_subjects => 400, 10136, "consumer cannot have both FilterSubject and FilterSubjects specified";
    consumer_multiple_filters_not_allowed => 400, 10137, "consumer with multiple subject filters cannot use subject based API";
    consumer_overlapping_filters => 400, 10138, "consumer subject filters cannot overlap";
    consumer_empty_filter => 400, 10139, "consumer filter in FilterSubjects cannot be empty";
    consumer_max_ack_pending_requires_ack => 400, 10082, "consumer requires ack policy for max ack pending";
    consumer_max_expires_too_small => 400, 10115, "consumer max request expires needs to be >= 1ms";
    consumer_metadata_too_long => 400, 10135, "consumer metadata exceeds maximum size of 128KB";
    consumer_backoff_negative => 400, 10184, "consumer backoff needs to be positive";
    consumer_ack_wait_negative => 400, 10183, "consumer ack wait needs to be positive";
    consumer_max_deliver_backoff => 400, 10116, "max deliver is required to be > length of backoff values";
    consumer_pull_with_rate_limit => 400, 10086, "consumer in pull mode can not have rate limit set";
    consumer_heartbeat_requires_push => 400, 10088, "consumer idle heartbeat requires a push based consumer";
    consumer_flow_control_requires_push => 400, 10089, "consumer flow control requires a push based consumer";
    consumer_push_max_waiting => 400, 10080, "consumer in push mode can not set max waiting";
    consumer_deliver_to_wildcards => 400, 10079, "consumer deliver subject has wildcards";
    consumer_invalid_deliver_subject => 400, 10112, "invalid push consumer deliver subject";
    consumer_deliver_cycle => 400, 10081, "consumer deliver subject forms a cycle";
    consumer_small_heartbeat => 400, 10083, "consumer idle heartbeat needs to be >= 100ms";
    consumer_with_flow_control_needs_heartbeats => 400, 10108, "consumer with flow control also needs heartbeats";
    consumer_pull_requires_ack => 400, 10084, "consumer in pull mode requires explicit ack policy on workqueue stream";
    consumer_queue_requires_explicit_ack => 400, 10098, "workqueue stream requires explicit ack";
    consumer_queue_not_unfiltered => 400, 10099, "multiple non-filtered consumers not allowed on workqueue stream";
    consumer_queue_not_unique => 400, 10100, "filtered consumer not unique on workqueue stream";
    consumer_queue_not_deliver_all => 400, 10101, "consumer must be deliver all on workqueue stream";
    maximum_consumers_limit => 400, 10026, "maximum consumers limit reached";
}

explained! {
    consumer_create => 500, 10012, "{}";
    consumer_name_too_long => 400, 10102, "consumer name is too long, maximum allowed is {}";
    consumer_description_too_long => 400, 10107, "consumer description is too long, maximum allowed is {}";
    consumer_invalid_policy => 400, 10094, "{}";
    consumer_invalid_sampling => 400, 10095, "failed to parse consumer sampling configuration: {}";
    consumer_max_ack_pending_exceeded => 400, 10121, "consumer max ack pending exceeds system limit of {}";
    consumer_inactive_threshold_exceeded => 400, 10153, "consumer inactive threshold exceeds system limit of {}";
    consumer_invalid_reset => 400, 10204, "invalid reset: {}";
    pedantic => 400, 10157, "pedantic mode: {}";
    invalid_json => 400, 10025, "invalid JSON: {}";
    stream_config => 500, 10052, "{}";
    stream_transform => 400, 10156, "stream transform: {}";
    stream_snapshot => 500, 10064, "snapshot failed: {}";
    stream_restore => 500, 10062, "restore failed: {}";
    stream_update_failed => 500, 10069, "{}";
    stream_purge_failed => 500, 10110, "{}";
    stream_msg_delete_failed => 500, 10057, "{}";
    store_failed => 503, 10077, "{}";
    rollup_failed => 500, 10111, "{}";
    wrong_last_msg_id => 400, 10070, "wrong last msg ID: {}";
    sequence_not_found => 400, 10043, "sequence {} not found";
    wrong_last_sequence => 400, 10071, "wrong last sequence: {}";
}

impl From<&Failure> for ApiError {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Full => Self::storage_resources_exceeded(),
            Failure::Gone => Self::stream_not_found(),
            // What went wrong is in the log; it is nothing a client can do about.
            Failure::Failed(_) => Self::store_failed("the message could not be stored"),
        }
    }
}
