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
                #[doc = $text]
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
                #[doc = $text]
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
    schedules_disabled => 400, 10188, "message schedules is disabled";
}

explained! {
    invalid_json => 400, 10025, "invalid JSON: {}";
    stream_config => 500, 10052, "{}";
    stream_transform => 400, 10156, "stream transform: {}";
    stream_snapshot => 500, 10064, "snapshot failed: {}";
    stream_restore => 500, 10062, "restore failed: {}";
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
            // What went wrong is in the log; it is nothing a client can do about.
            Failure::Failed(_) => Self::store_failed("the message could not be stored"),
        }
    }
}
