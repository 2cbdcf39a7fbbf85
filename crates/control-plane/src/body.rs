//! Request bodies: bounded, checked against their signed digest while they are read, then parsed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use busauth::ContentDigestHasher;
use bytes::BytesMut;
use control_api::{
    Append, Limits, NewConsumer, NewRoom, NewUser, ProblemCode, PutKeys, RaiseReplicas, RoomPatch, UserPatch,
};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::{
    ControlPlane,
    authenticate::{LocalOperator, SignedDigest},
    problem::{Refusal, Result},
};

/// A JSON body with its bound.
pub(crate) trait RequestBody: DeserializeOwned {
    /// The most bytes it may have.
    fn limit(limits: &Limits) -> u64 {
        limits.body_bytes
    }
}

impl RequestBody for NewUser {}
impl RequestBody for UserPatch {}
impl RequestBody for RoomPatch {}
impl RequestBody for NewConsumer {}
impl RequestBody for RaiseReplicas {}

impl RequestBody for NewRoom {
    fn limit(limits: &Limits) -> u64 {
        limits.keys_body_bytes
    }
}

impl RequestBody for Append {
    fn limit(limits: &Limits) -> u64 {
        limits.keys_body_bytes
    }
}

impl RequestBody for PutKeys {
    fn limit(limits: &Limits) -> u64 {
        limits.keys_body_bytes
    }
}

/// A parsed body. As an extractor it stands after [`crate::caller::Caller`], which finds the signed digest.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: RequestBody> FromRequest<Arc<ControlPlane>> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, control: &Arc<ControlPlane>) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let limit = T::limit(&control.config.limits);
        check_content_type(&parts.headers)?;
        check_length(&parts.headers, limit)?;
        let digest = parts.extensions.get::<SignedDigest>();
        let unsigned_allowed =
            parts.extensions.get::<LocalOperator>().is_some() || !control.config.mode.requires_signature();
        if digest.is_none() && !unsigned_allowed {
            // An empty body is signed without a digest; there is no JSON in it either.
            return Err(Refusal::new(ProblemCode::BadJson, "a JSON body is needed"));
        }
        let mut hasher = ContentDigestHasher::new();
        let bytes = read(body, limit, &mut hasher).await?;
        if let Some(SignedDigest(digest)) = digest {
            hasher.check(digest)?;
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| bad_json(&error))?;
        Ok(Self(value))
    }
}

async fn read(mut body: Body, limit: u64, hasher: &mut ContentDigestHasher) -> Result<BytesMut> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new(ProblemCode::BadRequest, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if (bytes.len() + data.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        hasher.update(&data);
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(ProblemCode::UnsupportedMediaType, "send the body with Content-Type: application/json"))
}

/// Refuses what says itself that it is too large, before anything of it is read.
fn check_length(headers: &HeaderMap, limit: u64) -> Result<()> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit) { Err(too_large(limit)) } else { Ok(()) }
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(ProblemCode::BodyTooLarge, format!("the body of this request has at most {limit} bytes"))
}

/// What is wrong and where. serde quotes unknown member names, which the caller sent itself.
fn bad_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(ProblemCode::BadJson, format!("the body is not the expected JSON: {error}"))
}
