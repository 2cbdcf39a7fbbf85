//! Reading what the control plane answered, and what a refusal means for the caller.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use control_api::{Done, Problem, ProblemCode, Settled};
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::{Endpoint, Failure, Next};
use crate::error::{Error, ErrorKind, Result};

/// The largest answer that is read. The server pages what could be larger.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

pub(super) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    serde_json::from_slice(body).map_err(|source| {
        Error::new(
            ErrorKind::Protocol,
            format!("the bus answered something this client cannot read: {source}"),
        )
        .with_source(source)
    })
}

/// The body of a success, or why it is none.
pub(super) async fn read(
    endpoint: &Endpoint,
    response: reqwest::Response,
    correct_clock: impl FnOnce(u64),
) -> std::result::Result<Bytes, Failure> {
    let status = response.status();
    let body = read_body(endpoint, response).await?;
    if status.is_success() {
        return Ok(body);
    }
    let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
        let error = Error::new(
            kind_of_status(status),
            format!("{endpoint} answered {status} without saying why; is it a unibus control plane?"),
        );
        return Err(Failure { error, next: next_of_status(status) });
    };
    Err(refusal(problem, status, correct_clock))
}

/// The nodes that have not confirmed a change which stands.
pub(super) fn pending(body: &Bytes) -> Vec<String> {
    serde_json::from_slice::<Settled<Done>>(body).map(|settled| settled.pending).unwrap_or_default()
}

async fn read_body(
    endpoint: &Endpoint,
    mut response: reqwest::Response,
) -> std::result::Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                let error = Error::new(
                    ErrorKind::Protocol,
                    format!("{endpoint} answered more than {MAX_ANSWER} bytes"),
                );
                return Err(Failure { error, next: Next::GiveUp });
            }
            Ok(None) => return Ok(body.freeze()),
            Err(error) => return Err(transport_failure(endpoint, error)),
        }
    }
}

pub(super) fn transport_failure(endpoint: &Endpoint, source: reqwest::Error) -> Failure {
    let (kind, what, next) = if source.is_connect() {
        (ErrorKind::Unreachable, "cannot be reached", Next::Elsewhere)
    } else if source.is_timeout() {
        (ErrorKind::Timeout, "did not answer in time", Next::PerhapsDone)
    } else {
        (ErrorKind::Unreachable, "broke off", Next::PerhapsDone)
    };
    let cause = innermost(&source);
    let error = Error::new(kind, format!("the control plane at {endpoint} {what}: {cause}"))
        .with_source(source.without_url());
    Failure { error, next }
}

/// The cause that a person can act on is the innermost one ("connection refused", "invalid peer certificate").
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn refusal(problem: Problem, status: StatusCode, correct_clock: impl FnOnce(u64)) -> Failure {
    let next = match problem.code {
        // Also when another call has corrected the clock meanwhile: this one was still dated by the old.
        ProblemCode::ClockSkew | ProblemCode::Retry => match problem.time {
            Some(time) => {
                correct_clock(time.unix());
                Next::CorrectedClock(Duration::from_secs(problem.retry_after.unwrap_or(0)))
            }
            None => Next::GiveUp,
        },
        // Every attempt has a nonce of its own, so this one met itself: an attempt whose answer was lost.
        ProblemCode::NonceReplayed => Next::PerhapsDone,
        ProblemCode::RateLimited | ProblemCode::TooManyUploads => {
            Next::After(Duration::from_secs(problem.retry_after.unwrap_or(1)))
        }
        ProblemCode::Unavailable => match problem.retry_after {
            Some(seconds) => Next::After(Duration::from_secs(seconds)),
            None => Next::Elsewhere,
        },
        // Stored, but perhaps not in force everywhere: the same call again settles it.
        ProblemCode::DataPlaneUnavailable | ProblemCode::RequestTimeout | ProblemCode::Internal => {
            Next::PerhapsDone
        }
        ProblemCode::Unknown => next_of_status(status),
        _ => Next::GiveUp,
    };
    let kind = kind_of(problem.code).unwrap_or_else(|| kind_of_status(status));
    let detail = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
    Failure { error: Error::new(kind, detail).with_problem(problem), next }
}

fn kind_of(code: ProblemCode) -> Option<ErrorKind> {
    use ProblemCode as Code;
    Some(match code {
        Code::SignatureMissing
        | Code::SignatureInvalid
        | Code::ClockSkew
        | Code::Retry
        | Code::NonceReplayed
        | Code::UserUnknown => ErrorKind::Unauthenticated,
        Code::UserRevoked => ErrorKind::Revoked,
        Code::WrongAuthority => ErrorKind::Config,
        Code::Forbidden | Code::AdminRequired | Code::WrongAuthor => ErrorKind::Forbidden,
        Code::NotAMember => ErrorKind::NotAMember,
        Code::OwnerRequired | Code::WriterRequired => ErrorKind::NotPermitted,
        Code::NotFound
        | Code::UserNotFound
        | Code::RoomNotFound
        | Code::BlobNotFound
        | Code::ConsumerNotFound => ErrorKind::NotFound,
        Code::RequestTimeout => ErrorKind::Timeout,
        Code::RateLimited
        | Code::TooManyUploads
        | Code::Unavailable
        | Code::DataPlaneUnavailable
        | Code::StoreFull
        | Code::Internal => ErrorKind::Unavailable,
        Code::UserExists
        | Code::HandleTaken
        | Code::LoginKeyTaken
        | Code::LastAdmin
        | Code::RoomExists
        | Code::RoomSubjectOverlaps
        | Code::LogConflict
        | Code::MemberRevoked
        | Code::RoomFull
        | Code::TooManyConsumers
        | Code::TooManyDurableRooms => ErrorKind::Conflict,
        Code::NoHistory => ErrorKind::NoHistory,
        Code::RoomFrozen | Code::NoTraffic => ErrorKind::RoomFrozen,
        Code::RoomClosed => ErrorKind::RoomClosed,
        Code::BlobQuotaExceeded | Code::BlobStoreFull => ErrorKind::NoRoom,
        Code::StreamStoreFull => ErrorKind::StorageFull,
        Code::BlobDamaged => ErrorKind::FileDamaged,
        Code::Unknown => return None,
        // Everything else says that the request itself is wrong.
        _ => ErrorKind::Invalid,
    })
}

fn kind_of_status(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        429 | 500..=599 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::Protocol,
    }
}

fn next_of_status(status: StatusCode) -> Next {
    match status.as_u16() {
        502..=504 => Next::PerhapsDone,
        429 => Next::After(Duration::from_secs(1)),
        _ => Next::GiveUp,
    }
}
