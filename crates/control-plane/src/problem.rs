//! The one place where an error becomes a status and a code (RFC 9457).
//!
//! Handlers return [`Refusal`]; the outermost layer turns it into a body with the request's id. What a caller
//! must not see (the cause of an internal failure) is in `cause`, for the log only.

use std::fmt;

use axum::response::{IntoResponse, Response};
use blobstore::BlobError;
use busauth::{AuthorityError, DigestMismatch, NonceStoreError, SignatureRejection, UserId};
use control_api::{PROBLEM_JSON, Problem, ProblemCode, Timestamp};
use http::{HeaderValue, header};
use membership_store::{Bound, Conflict, StoreError};
use room_protocol::{Head, RoomSubject, SealedSetError, SharedKeysError, StatementError, Violation};

use crate::{
    clock,
    data_plane::{ClusterError, DataPlaneError},
};

pub(crate) type Result<T> = std::result::Result<T, Refusal>;

/// Why a request is not served.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: ProblemCode,
    detail: String,
    head: Option<Head>,
    time: Option<Timestamp>,
    user: Option<UserId>,
    subject: Option<RoomSubject>,
    retry_after: Option<u64>,
    /// How long the file is that a range lies outside of.
    length: Option<u64>,
    /// For the log only.
    cause: Option<String>,
}

impl Refusal {
    /// A refusal with one sentence for a person.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            head: None,
            time: None,
            user: None,
            subject: None,
            retry_after: None,
            length: None,
            cause: None,
        }))
    }

    /// A failure of this server; the cause goes to the log.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let detail = "the server failed; its log has the cause under the request id";
        let mut refusal = Self::new(ProblemCode::Internal, detail);
        refusal.0.cause = Some(cause.to_string());
        refusal
    }

    /// The statement is not built on the log's last entry.
    pub(crate) fn log_conflict(head: Head) -> Self {
        let detail = format!(
            "the log's last entry is {}: fetch up to it, rebuild the statement, send it again",
            head.seq
        );
        let mut refusal = Self::new(ProblemCode::LogConflict, detail);
        refusal.0.head = Some(head);
        refusal
    }

    /// Too many requests.
    pub(crate) fn rate_limited(wait: std::time::Duration) -> Self {
        // Rounded up: who comes back at the given second is let in.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::new(ProblemCode::RateLimited, format!("wait {seconds} s before the next request"))
            .retry_after(seconds)
    }

    pub(crate) fn about(mut self, user: UserId) -> Self {
        self.0.user = Some(user);
        self
    }

    pub(crate) fn at(mut self, unix_seconds: u64) -> Self {
        self.0.time = Some(Timestamp::from_unix(unix_seconds));
        self
    }

    /// The range is not in a file of this length.
    pub(crate) fn out_of_range(length: u64) -> Self {
        let detail = format!("the file has {length} bytes: ask for a range within it");
        let mut refusal = Self::new(ProblemCode::RangeNotSatisfiable, detail);
        refusal.0.length = Some(length);
        refusal
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// What only the log is told.
    pub(crate) fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// What programs decide by.
    pub(crate) fn code(&self) -> ProblemCode {
        self.0.code
    }

    /// What the caller is told.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What only the log is told.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The answer, with the request's id.
    pub(crate) fn answer(&self, request_id: &str) -> Response {
        let inner = &*self.0;
        let mut problem = Problem::new(inner.code, inner.detail.clone(), request_id);
        problem.head = inner.head;
        problem.time = inner.time;
        problem.user = inner.user;
        problem.subject.clone_from(&inner.subject);
        problem.retry_after = inner.retry_after;
        let mut response = (inner.code.status(), axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = inner.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(length) = inner.length
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{length}"))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        if inner.code.status() == http::StatusCode::UNAUTHORIZED {
            // RFC 9110 (15.5.2) wants a challenge; there is no registered scheme for RFC 9421.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Signature"));
        }
        response
    }
}

/// What a handler hands to the outermost layer: a placeholder that carries the refusal.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.code().status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::new(ProblemCode::NotFound, "it does not exist, or not any more"),
            StoreError::Conflict(conflict) => conflict.into(),
            StoreError::Full(Bound::DurableRooms(most)) => Self::new(
                ProblemCode::TooManyDurableRooms,
                format!(
                    "this bus keeps the messages of no more than {most} rooms: make the room without history, have one \
                     deleted that is not needed any more, or ask the operator (--max-durable-rooms)"
                ),
            ),
            StoreError::Full(bound) => Self::new(
                ProblemCode::StoreFull,
                format!("this bus holds no more than {bound}: ask its operator"),
            ),
            StoreError::TooLarge { .. } => Self::new(ProblemCode::BodyTooLarge, error.to_string()),
            StoreError::Unavailable => {
                Self::new(ProblemCode::Unavailable, "the store cannot answer now: try again").retry_after(1)
            }
            StoreError::Corrupt => Self::internal("the store is damaged"),
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        let detail = error.to_string();
        match error {
            BlobError::NotFound => Self::new(ProblemCode::BlobNotFound, detail),
            BlobError::DigestMismatch => DigestMismatch.into(),
            BlobError::LengthMismatch => {
                Self::new(ProblemCode::BadRequest, "the body has another length than Content-Length says")
            }
            BlobError::OutOfRange { length } => Self::out_of_range(length),
            BlobError::Full => Self::new(
                ProblemCode::BlobStoreFull,
                "the disk of the bus has no room for this file: ask its operator",
            ),
            BlobError::Damaged => Self::new(
                ProblemCode::BlobDamaged,
                "the stored file is damaged: whoever has it deletes it and sends it again",
            ),
            BlobError::Unavailable => {
                Self::new(ProblemCode::Unavailable, "the file store cannot answer now: try again")
                    .retry_after(1)
            }
        }
    }
}

impl From<Conflict> for Refusal {
    fn from(conflict: Conflict) -> Self {
        let detail = conflict.to_string();
        let code = match conflict {
            Conflict::UserExists => ProblemCode::UserExists,
            Conflict::HandleTaken => ProblemCode::HandleTaken,
            Conflict::LoginKeyTaken => ProblemCode::LoginKeyTaken,
            Conflict::UserRevoked => ProblemCode::UserRevoked,
            Conflict::LastAdmin => ProblemCode::LastAdmin,
            Conflict::RoomExists => ProblemCode::RoomExists,
            Conflict::SubjectOverlaps(subject) => {
                let mut refusal =
                    Self::new(ProblemCode::RoomSubjectOverlaps, format!("{detail} ({subject})"));
                refusal.0.subject = Some(subject);
                return refusal;
            }
            Conflict::HeadMoved(head) => return Self::log_conflict(head),
            Conflict::UnknownMember(user) => return Self::new(ProblemCode::UserNotFound, detail).about(user),
            Conflict::MemberRevoked(user) => {
                return Self::new(ProblemCode::MemberRevoked, detail).about(user);
            }
            Conflict::NotAMember => ProblemCode::NotAMember,
            Conflict::RoomBlobsFull { .. } | Conflict::UserBlobsFull { .. } => ProblemCode::BlobQuotaExceeded,
            Conflict::UnknownEpoch(_) => ProblemCode::BadParameter,
        };
        Self::new(code, detail)
    }
}

impl From<SignatureRejection> for Refusal {
    fn from(rejection: SignatureRejection) -> Self {
        let detail = rejection.to_string();
        match rejection {
            SignatureRejection::Stale { .. } | SignatureRejection::Ahead { .. } => {
                Self::new(ProblemCode::ClockSkew, detail).at(clock::now())
            }
            _ => Self::new(ProblemCode::SignatureInvalid, detail),
        }
    }
}

impl From<NonceStoreError> for Refusal {
    fn from(error: NonceStoreError) -> Self {
        match error {
            NonceStoreError::UserFull => {
                Self::new(ProblemCode::RateLimited, "too many requests in the last minute").retry_after(1)
            }
            NonceStoreError::Forgotten { sign_from } => {
                let detail =
                    "signed before this server started: sign the request again, with the time given here";
                Self::new(ProblemCode::Retry, detail).at(sign_from.max(clock::now()))
            }
            error => {
                let mut refusal =
                    Self::new(ProblemCode::Unavailable, "replays cannot be ruled out now: try again")
                        .retry_after(1);
                refusal.0.cause = Some(error.to_string());
                refusal
            }
        }
    }
}

impl From<AuthorityError> for Refusal {
    fn from(error: AuthorityError) -> Self {
        Self::new(ProblemCode::BadRequest, error.to_string())
    }
}

impl From<DigestMismatch> for Refusal {
    fn from(error: DigestMismatch) -> Self {
        Self::new(ProblemCode::DigestMismatch, error.to_string())
    }
}

impl From<StatementError> for Refusal {
    fn from(error: StatementError) -> Self {
        let code = match error {
            StatementError::TooLong => ProblemCode::StatementTooLarge,
            _ => ProblemCode::StatementInvalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        let detail = violation.to_string();
        match violation {
            Violation::NotAnOwner(_) => Self::new(ProblemCode::OwnerRequired, detail),
            Violation::NotAMember(_) => Self::new(ProblemCode::NotAMember, detail),
            Violation::RoomFull { .. } => Self::new(ProblemCode::RoomFull, detail),
            _ => Self::new(ProblemCode::StatementRefused, detail),
        }
    }
}

impl From<SealedSetError> for Refusal {
    fn from(error: SealedSetError) -> Self {
        let refusal = Self::new(ProblemCode::SealedKeysWrong, error.to_string());
        match error {
            SealedSetError::Missing(user) | SealedSetError::Stranger(user) | SealedSetError::Twice(user) => {
                refusal.about(user)
            }
            SealedSetError::NotExpected => refusal,
        }
    }
}

impl From<SharedKeysError> for Refusal {
    fn from(error: SharedKeysError) -> Self {
        let code = match error {
            SharedKeysError::NotShared => ProblemCode::Forbidden,
            SharedKeysError::NotAnOwner(_) => ProblemCode::OwnerRequired,
            SharedKeysError::NotAMember(_) => ProblemCode::NotAMember,
            SharedKeysError::NoSuchEpoch(_) => ProblemCode::BadParameter,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::NotClustered => Self::new(ProblemCode::NotClustered, error.to_string()),
            ClusterError::TooFewNodes { .. } => Self::new(ProblemCode::TooFewNodes, error.to_string()),
            ClusterError::NodeDown(_) => Self::new(ProblemCode::NodeDown, error.to_string()),
            ClusterError::ReloadElsewhere(_) => {
                Self::new(ProblemCode::ReloadElsewhere, error.to_string()).retry_after(1)
            }
            ClusterError::Certificates(_) => Self::new(ProblemCode::CertificatesRefused, error.to_string()),
            ClusterError::DataPlane(cause) => {
                let detail = "the nats-servers did not answer: try again, and look at the log of this node";
                Self::new(ProblemCode::DataPlaneUnavailable, detail).retry_after(1).caused_by(cause)
            }
        }
    }
}

impl From<DataPlaneError> for Refusal {
    fn from(error: DataPlaneError) -> Self {
        let mut refusal = match &error {
            DataPlaneError::Unconfirmed(_) | DataPlaneError::Pending(_) => {
                let detail = "the change is stored, but not confirmed to be in force on the data plane: send the request again";
                Self::new(ProblemCode::DataPlaneUnavailable, detail).retry_after(1)
            }
            DataPlaneError::Full(_) => {
                let detail = "the change is stored, but the disk of the bus has no room for the messages of the room: nothing is \
                              kept of it until the operator has made room and the request is sent again, or the bus started";
                Self::new(ProblemCode::StreamStoreFull, detail)
            }
        };
        refusal.0.cause = Some(error.to_string());
        refusal
    }
}
