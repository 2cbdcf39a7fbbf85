//! `GET /healthz`, `GET /readyz`: open, from memory but for one short read of the store.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use control_api::{BlobHealth, ComponentState, Health, Ready, StoreHealth};
use http::StatusCode;
use membership_store::Page;

use crate::{ControlPlane, data_plane::Redundancy};

/// How long the store may take to answer a health check.
const STORE_PROBE: Duration = Duration::from_secs(2);

/// Liveness with everything an operator asks first. Always 200: the body says how it is.
pub(crate) async fn healthz(State(control): State<Arc<ControlPlane>>) -> Json<Health> {
    let data_plane = control.parts.data_plane.health();
    let store = store_health(&control).await;
    let blobs = blob_health(&control);
    let Redundancy { replicas, ha_reason } = control.parts.data_plane.redundancy();
    Json(Health {
        status: data_plane.state.max(store.state).max(blobs.state),
        version: control.config.version.clone(),
        posture: control.config.posture.clone(),
        data_plane,
        store,
        blobs,
        replicas,
        ha: ha_reason.is_none(),
        ha_reason,
        uptime: control.started.elapsed().as_secs(),
    })
}

/// 200 only when requests can be served.
pub(crate) async fn readyz(State(control): State<Arc<ControlPlane>>) -> (StatusCode, Json<Ready>) {
    let data_plane = control.parts.data_plane.health().state;
    let store = store_health(&control).await.state;
    let ready = data_plane.max(store) < ComponentState::Down && !control.is_finishing();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready }))
}

/// Never worse than degraded: the rest of the bus does without files.
fn blob_health(control: &ControlPlane) -> BlobHealth {
    let health = control.files.as_ref().map(|files| files.store().health()).unwrap_or_default();
    let detail = match (health.damaged, health.full) {
        (0, false) => None,
        (0, true) => Some("there was no room for a file: free some, or raise the quotas' room".to_owned()),
        _ => Some("reads met damaged files; the log names them. Delete them and send them again".to_owned()),
    };
    let state = if detail.is_some() { ComponentState::Degraded } else { ComponentState::Ok };
    BlobHealth { state, damaged: health.damaged, detail }
}

async fn store_health(control: &ControlPlane) -> StoreHealth {
    let answer = tokio::time::timeout(STORE_PROBE, control.store().users(Page::first(1))).await;
    let size = control.store().view().size();
    StoreHealth {
        state: if matches!(answer, Ok(Ok(_))) { ComponentState::Ok } else { ComponentState::Down },
        users: size.users as u64,
        rooms: size.rooms as u64,
    }
}
