//! What the control plane is told about the node it runs on.

use std::sync::Arc;

use busauth::{AuthMode, MemoryNonceStore, NonceLimits};
use control_api::{Limits, Posture};
use control_plane::{AccessOptions, ControlConfig, ControlPlane, DataPlane, Parts, PlaintextRooms};
use membership_store::MembershipStore;

use crate::config::{Config, Plane, StoreKind};
use crate::own_names::OwnNames;

/// What the permissions of connections depend on besides memberships.
pub(crate) fn access_options(config: &Config) -> AccessOptions {
    let plaintext_rooms = if config.is_public() { PlaintextRooms::ReadOnly } else { PlaintextRooms::Allowed };
    AccessOptions { plaintext_rooms }
}

/// What `/v1/info` and `/healthz` say about the node, and what it lets in.
pub(crate) fn control_config(
    config: &Config,
    own_names: &OwnNames,
    control_urls: Vec<String>,
) -> ControlConfig {
    let auth = config.exposure.auth();
    // Of the other planes it is the same as on the control plane.
    let data_plane_tls = match &config.plane {
        Plane::External(settings) => settings.nats.ca.is_some(),
        Plane::Embedded(_) | Plane::Clustered(_) => true,
    };
    ControlConfig {
        name: config.server_name.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        names: control_plane::OwnNames::new(own_names.authorities()),
        mode: auth,
        limits: Limits {
            room_blob_bytes: config.quotas.room,
            user_blob_bytes: config.quotas.user,
            durable_rooms: config.max_durable_rooms.get() as u64,
            ..Limits::default()
        },
        encryption_required: config.is_public(),
        control_urls,
        posture: Posture {
            auth: auth.to_string(),
            acl: true,
            tls: config.exposure.tls().is_some() && data_plane_tls,
            cluster: config.plane.cluster().is_some(),
            store: config.plane.store().as_str().to_owned(),
        },
    }
}

/// The control plane of a node that does not run: only its local administration is used, which needs no
/// names, signatures or nonces.
pub(crate) fn offline(
    store: Arc<dyn MembershipStore>,
    kind: StoreKind,
    data_plane: Arc<dyn DataPlane>,
) -> Arc<ControlPlane> {
    let config = ControlConfig {
        name: "stopped".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        names: control_plane::OwnNames::new(Vec::<String>::new()),
        mode: AuthMode::Enforce,
        limits: Limits::default(),
        encryption_required: true,
        control_urls: Vec::new(),
        posture: Posture {
            auth: AuthMode::Enforce.to_string(),
            acl: true,
            tls: false,
            cluster: false,
            store: kind.as_str().to_owned(),
        },
    };
    let nonces = Arc::new(MemoryNonceStore::new(NonceLimits::default()));
    // What a deleted room leaves of its files is swept when the daemon runs again.
    ControlPlane::new(config, Parts { store, nonces, data_plane, blobs: None })
}
