//! `GET /v1/info`: how to reach the bus.

use std::sync::Arc;

use axum::{Json, extract::State};
use control_api::{Info, Timestamp};

use crate::{ControlPlane, clock};

/// The version of the API in the paths.
const API: u32 = 1;

/// What anybody may know.
pub(crate) async fn info(State(control): State<Arc<ControlPlane>>) -> Json<Info> {
    let config = &control.config;
    let mut control_urls = config.control_urls.clone();
    for url in control.parts.data_plane.other_control_urls() {
        if !control_urls.contains(&url) {
            control_urls.push(url);
        }
    }
    Json(Info {
        name: config.name.clone(),
        version: config.version.clone(),
        api: API,
        data_urls: control.parts.data_plane.client_urls(),
        data_tls: control.parts.data_plane.tls(),
        data_grants: control.parts.data_plane.grants_apply(),
        control_urls,
        encryption_required: config.encryption_required,
        limits: config.limits.clone(),
        time: Timestamp::from_unix(clock::now()),
    })
}
