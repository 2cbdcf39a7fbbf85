//! The nodes of a cluster: `/v1/cluster`, and on the bus host `/v1/cluster/replicas` and
//! `/v1/cluster/reload`.

use std::sync::Arc;

use axum::{Json, extract::State};
use control_api::{ClusterStatus, RaiseReplicas, RaisedReplicas, ReloadedCertificates};

use crate::{
    ControlPlane,
    authorize::{self, ReadCluster, authorize},
    body::JsonBody,
    caller::Caller,
    problem::{Refusal, Result},
};

/// The nodes, and who keeps what.
pub(crate) async fn status(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
) -> Result<Json<ClusterStatus>> {
    let _permit = authorize(control.store().view(), caller, ReadCluster)?;
    control.parts.data_plane.cluster().await.map(Json).map_err(Refusal::from)
}

/// One step of making more copies.
pub(crate) async fn raise_replicas(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    JsonBody(body): JsonBody<RaiseReplicas>,
) -> Result<Json<RaisedReplicas>> {
    let permit = authorize(control.store().view(), caller, authorize::RaiseReplicas)?;
    let plane = control.clone();
    let raising = async move {
        let raised = plane.parts.data_plane.raise_replicas(body.replicas).await?;
        if raised.complete {
            plane.record(permit.caller(), "cluster.replicas", raised.replicas, None).await;
        }
        Ok(Json(raised))
    };
    control.to_the_end(raising).await
}

/// Has the nats-server of this node take its new certificates.
pub(crate) async fn reload_certificates(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
) -> Result<Json<ReloadedCertificates>> {
    let permit = authorize(control.store().view(), caller, authorize::ReloadCertificates)?;
    let plane = control.clone();
    // Also when nobody waits for it any more: this node's turn has to end.
    let reloading = async move {
        let reloaded = plane.parts.data_plane.reload_certificates().await?;
        if reloaded.changed {
            plane.record(permit.caller(), "cluster.reload", &reloaded.node, None).await;
        }
        Ok(Json(reloaded))
    };
    control.to_the_end(reloading).await
}
