//! Answers to changes that take rights away: 200 when they are in force everywhere, 202 with the nodes that have not
//! confirmed it in time.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;

use crate::{data_plane::DataPlaneError, problem::Result};

/// The nodes that have not confirmed a change that stands.
pub(crate) fn pending(in_force: std::result::Result<(), DataPlaneError>) -> Result<Vec<String>> {
    match in_force {
        Ok(()) => Ok(Vec::new()),
        Err(DataPlaneError::Pending(nodes)) => {
            tracing::warn!(nodes = nodes.join(", "), "a change is not confirmed by all nodes");
            Ok(nodes)
        }
        Err(error) => Err(error.into()),
    }
}

/// An answer, with where the change is not confirmed.
#[derive(Debug)]
pub(crate) struct Settled<T>(pub(crate) control_api::Settled<T>);

impl<T> Settled<T> {
    pub(crate) fn new(answer: T, pending: Vec<String>) -> Self {
        Self(control_api::Settled { answer, pending })
    }
}

impl<T: Serialize> IntoResponse for Settled<T> {
    fn into_response(self) -> Response {
        let status = if self.0.pending.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
        (status, Json(self.0)).into_response()
    }
}
