//! Ids in paths and parameters in queries, with problems instead of plain text when they are wrong.

use std::{fmt::Display, str::FromStr};

use axum::extract::{FromRequestParts, Path, Query};
use control_api::{Limits, ProblemCode};
use http::request::Parts;
use room_protocol::{BlobDigest, BlobDigestError, RoomId, RoomIdError};
use serde::{Deserialize, de::DeserializeOwned};

use crate::problem::{Refusal, Result};

/// The one id in a path, `/v1/users/{id}`.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err: Display>> FromRequestParts<S> for Id<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let wrong =
            |detail: String| Refusal::new(ProblemCode::BadParameter, format!("the id in the path: {detail}"));
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| wrong("cannot be read".to_owned()))?;
        text.parse().map(Self).map_err(|error: T::Err| wrong(error.to_string()))
    }
}

/// A room and the name of something in it, `/v1/rooms/{id}/consumers/{name}`.
#[derive(Debug)]
pub(crate) struct RoomAndName {
    pub(crate) room: RoomId,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for RoomAndName {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let wrong = |detail: String| {
            Refusal::new(ProblemCode::BadParameter, format!("the ids in the path: {detail}"))
        };
        let Path((room, name)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| wrong("cannot be read".to_owned()))?;
        Ok(Self { room: room.parse().map_err(|error| wrong(format!("{error}")))?, name })
    }
}

/// The room and the digest in a path, `/v1/rooms/{id}/blobs/{digest}`.
#[derive(Debug)]
pub(crate) struct BlobPath(pub(crate) RoomId, pub(crate) BlobDigest);

impl<S: Send + Sync> FromRequestParts<S> for BlobPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let wrong = |detail: String| Refusal::new(ProblemCode::BadParameter, format!("the path: {detail}"));
        let Path((room, digest)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| wrong("it cannot be read".to_owned()))?;
        let room = room.parse().map_err(|error: RoomIdError| wrong(error.to_string()))?;
        let digest = digest.parse().map_err(|error: BlobDigestError| wrong(error.to_string()))?;
        Ok(Self(room, digest))
    }
}

/// The parameters of the query.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => {
                Err(Refusal::new(ProblemCode::BadParameter, format!("the query: {}", error.body_text())))
            }
        }
    }
}

/// How many entries one answer holds.
pub(crate) fn page_size(wanted: Option<u64>, limits: &Limits) -> usize {
    let size = wanted.unwrap_or(limits.page).clamp(1, limits.page.max(1));
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Reads a parameter by its text form; query deserializers know only text.
pub(crate) fn parsed<'de, T, D>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: serde::Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
