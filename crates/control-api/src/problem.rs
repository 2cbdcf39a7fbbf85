//! Every answer that is not a success: RFC 9457 `application/problem+json` with a stable code.

use std::fmt;

use busauth::UserId;
use http::StatusCode;
use room_protocol::{Head, RoomSubject};
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not served. Programs decide by `code`; `detail` is one sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail} ({code}, request {request_id})")]
pub struct Problem {
    /// `urn:unibus:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// What programs decide by.
    pub code: ProblemCode,
    /// What to do, in one sentence. Never a path, a stack or a secret.
    pub detail: String,
    /// The request's id, also in the server's log.
    #[serde(default)]
    pub request_id: String,
    /// `log_conflict`: the log's last entry now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// `clock_skew` and `retry`: the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The user that the problem is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// `room_subject_overlaps`: the subject that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<RoomSubject>,
    /// Seconds to wait before the next try, as the `Retry-After` header says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem without extension members.
    pub fn new(code: ProblemCode, detail: impl Into<String>, request_id: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:unibus:problem:{code}"),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            code,
            detail: detail.into(),
            request_id: request_id.into(),
            head: None,
            time: None,
            user: None,
            subject: None,
            retry_after: None,
        }
    }
}

macro_rules! problem_codes {
    ($( $(#[$doc:meta])* $variant:ident = $text:literal, $status:ident, $title:literal; )*) => {
        /// What went wrong, for programs. New codes may be added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $( $(#[$doc])* #[serde(rename = $text)] $variant, )*
            /// A code that this version does not know; decide by the status.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl ProblemCode {
            /// Every code that this version sends.
            pub const ALL: &[Self] = &[$( Self::$variant ),*];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* Self::Unknown => "unknown" }
            }

            /// The HTTP status it is sent with.
            pub fn status(self) -> StatusCode {
                match self { $( Self::$variant => StatusCode::$status, )* Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR }
            }

            /// The code in words.
            pub fn title(self) -> &'static str {
                match self { $( Self::$variant => $title, )* Self::Unknown => "Unknown problem" }
            }
        }
    };
}

problem_codes! {
    /// The request must be signed.
    SignatureMissing = "signature_missing", UNAUTHORIZED, "The request is not signed";
    /// The signature, its parameters or what it covers is wrong. Final.
    SignatureInvalid = "signature_invalid", UNAUTHORIZED, "The signature is not valid";
    /// `created` is too old or in the future: correct the clock by `time`, sign again.
    ClockSkew = "clock_skew", UNAUTHORIZED, "The request's time is off";
    /// Signed before this server started: sign again, with the time in `time`.
    Retry = "retry", UNAUTHORIZED, "Sign the request again";
    /// The nonce was used before: sign again with a new one.
    NonceReplayed = "nonce_replayed", UNAUTHORIZED, "The request was sent before";
    /// The key is not on the allowlist.
    UserUnknown = "user_unknown", UNAUTHORIZED, "The user is not known here";
    /// The user is revoked. Final.
    UserRevoked = "user_revoked", FORBIDDEN, "The user is revoked";
    /// The host in the request is none of this bus's names.
    WrongAuthority = "wrong_authority", MISDIRECTED_REQUEST, "The request was meant for another server";
    /// A header that this server's mode does not take.
    HeaderRefused = "header_refused", BAD_REQUEST, "A header of the request is refused";
    /// The body is not what its digest says.
    DigestMismatch = "digest_mismatch", BAD_REQUEST, "The body does not match its digest";
    /// The caller may not do this.
    Forbidden = "forbidden", FORBIDDEN, "Not allowed";
    /// Only admins may do this.
    AdminRequired = "admin_required", FORBIDDEN, "Only admins may do this";
    /// Only members of the room may do this.
    NotAMember = "not_a_member", FORBIDDEN, "Only members of the room may do this";
    /// Only owners of the room may do this.
    OwnerRequired = "owner_required", FORBIDDEN, "Only owners of the room may do this";
    /// There is nothing at this path.
    NotFound = "not_found", NOT_FOUND, "Nothing is here";
    /// There is no such user.
    UserNotFound = "user_not_found", NOT_FOUND, "No such user";
    /// There is no such room.
    RoomNotFound = "room_not_found", NOT_FOUND, "No such room";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not available here";
    /// The request cannot be read as HTTP.
    BadRequest = "bad_request", BAD_REQUEST, "The request cannot be read";
    /// The body is not the JSON that is expected.
    BadJson = "bad_json", BAD_REQUEST, "The body is not the expected JSON";
    /// A parameter of the query or the path is wrong.
    BadParameter = "bad_parameter", BAD_REQUEST, "A parameter cannot be read";
    /// The body has another media type than this request takes.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body has the wrong media type";
    /// The body is too large.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// Request line or headers are too large.
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large";
    /// The request did not arrive, or was not served, in time.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long";
    /// Too many requests: wait `retry_after` seconds.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    /// The user is on the allowlist, or was once.
    UserExists = "user_exists", CONFLICT, "The user exists already";
    /// The handle belongs, or once belonged, to somebody else.
    HandleTaken = "handle_taken", CONFLICT, "The handle is taken";
    /// The login key belongs to another user.
    LoginKeyTaken = "login_key_taken", CONFLICT, "The login key is taken";
    /// The bus would be left without an admin.
    LastAdmin = "last_admin", CONFLICT, "The last admin has to stay";
    /// A statement makes one room, once.
    RoomExists = "room_exists", CONFLICT, "The room exists already";
    /// The subject equals, contains or lies below another room's.
    RoomSubjectOverlaps = "room_subject_overlaps", CONFLICT, "The room's subject is taken";
    /// The statement is not built on the log's last entry, which is in `head`.
    LogConflict = "log_conflict", CONFLICT, "The membership log has moved on";
    /// The room is frozen: nobody can be added until an admin lifts it.
    RoomFrozen = "room_frozen", CONFLICT, "The room is frozen";
    /// A member who would be added is revoked.
    MemberRevoked = "member_revoked", CONFLICT, "The member is revoked";
    /// The room keeps no messages.
    NoHistory = "no_history", CONFLICT, "The room keeps no messages";
    /// The room is closed or frozen, so no work is given out.
    NoTraffic = "no_traffic", CONFLICT, "Nothing is sent in the room";
    /// The room has as many work queues as it may have.
    TooManyConsumers = "too_many_consumers", CONFLICT, "The room has too many work queues";
    /// Only members who may write may do this.
    WriterRequired = "writer_required", FORBIDDEN, "Only writers may do this";
    /// There is no such work queue.
    ConsumerNotFound = "consumer_not_found", NOT_FOUND, "No such work queue";
    /// No more members fit.
    RoomFull = "room_full", CONFLICT, "The room is full";
    /// The bus is one node.
    NotClustered = "not_clustered", NOT_FOUND, "The bus is no cluster";
    /// There are fewer nodes, as they must be, than copies are wanted.
    TooFewNodes = "too_few_nodes", CONFLICT, "There are too few nodes";
    /// Another node is not there or not as it must be, so this one must not disconnect its clients.
    NodeDown = "node_down", CONFLICT, "Another node is down";
    /// Another node exchanges its certificates just now.
    ReloadElsewhere = "reload_elsewhere", CONFLICT, "Another node reloads its certificates";
    /// The new certificates cannot be used.
    CertificatesRefused = "certificates_refused", CONFLICT, "The certificates cannot be used";
    /// The text is not a signed statement.
    StatementInvalid = "statement_invalid", BAD_REQUEST, "The statement cannot be read";
    /// There is no such file in the room.
    BlobNotFound = "blob_not_found", NOT_FOUND, "No such file";
    /// The request does not say how long its body is.
    LengthRequired = "length_required", LENGTH_REQUIRED, "The length of the body is needed";
    /// The range lies beyond the file's end.
    RangeNotSatisfiable = "range_not_satisfiable", RANGE_NOT_SATISFIABLE, "The range is not in the file";
    /// The user is sending as many files as one may at once.
    TooManyUploads = "too_many_uploads", TOO_MANY_REQUESTS, "Too many uploads at once";
    /// The files of the room, or of the user, take as much as they may: delete some.
    BlobQuotaExceeded = "blob_quota_exceeded", INSUFFICIENT_STORAGE, "There is no room left for files";
    /// The disk of the bus has no room for the file.
    BlobStoreFull = "blob_store_full", INSUFFICIENT_STORAGE, "The disk of the bus is full";
    /// The disk has no room for messages that rooms keep.
    StreamStoreFull = "stream_store_full", INSUFFICIENT_STORAGE, "The disk of the bus is full";
    /// The stored file is damaged: delete it and send it again.
    BlobDamaged = "blob_damaged", INTERNAL_SERVER_ERROR, "The file is damaged";
    /// The room is closed: nothing is added to it any more.
    RoomClosed = "room_closed", CONFLICT, "The room is closed";
    /// The statement is too large.
    StatementTooLarge = "statement_too_large", PAYLOAD_TOO_LARGE, "The statement is too large";
    /// The statement breaks a rule of the room protocol.
    StatementRefused = "statement_refused", UNPROCESSABLE_ENTITY, "The statement breaks a rule";
    /// The statement's author is not the caller.
    WrongAuthor = "wrong_author", FORBIDDEN, "The statement is somebody else's";
    /// The member in the statement is not as the allowlist has it.
    MemberMismatch = "member_mismatch", UNPROCESSABLE_ENTITY, "The member is not as the allowlist says";
    /// The sealed keys miss a member or name a stranger.
    SealedKeysWrong = "sealed_keys_wrong", UNPROCESSABLE_ENTITY, "The sealed keys are not the right set";
    /// Rooms without encryption are refused on this bus.
    EncryptionRequired = "encryption_required", UNPROCESSABLE_ENTITY, "Rooms must be encrypted here";
    /// The bus holds as much as it is configured for.
    StoreFull = "store_full", INSUFFICIENT_STORAGE, "The bus is full";
    /// The bus keeps the messages of as many rooms as it is configured for.
    TooManyDurableRooms = "too_many_durable_rooms", INSUFFICIENT_STORAGE, "The bus keeps the messages of too many rooms";
    /// The bus cannot serve now.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The bus cannot serve now";
    /// The change is stored, but a part of the data plane could not be told in time.
    DataPlaneUnavailable = "data_plane_unavailable", SERVICE_UNAVAILABLE, "The data plane cannot be reached";
    /// The server failed; its log has the cause under the request's id.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The server failed";
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_what_it_prints_and_is_an_error() {
        for code in ProblemCode::ALL {
            let problem = Problem::new(*code, "detail", "id");
            let json = serde_json::to_value(&problem).unwrap();
            assert_eq!(json["code"], code.as_str());
            assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn a_code_from_a_newer_server_is_readable() {
        let json = r#"{"type":"x","title":"x","status":418,"code":"teapot","detail":"x","request_id":"1"}"#;
        assert_eq!(serde_json::from_str::<Problem>(json).unwrap().code, ProblemCode::Unknown);
    }
}
