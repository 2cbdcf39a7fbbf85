//! What the control plane is built from.

use std::sync::Arc;

use blobstore::BlobStore;
use busauth::{AuthMode, NonceStore};
use control_api::{Limits, Posture};
use membership_store::MembershipStore;

use crate::{data_plane::DataPlane, own_names::OwnNames};

/// Plain settings.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// The server's name, for `/v1/info`.
    pub name: String,
    /// The daemon's version.
    pub version: String,
    /// What requests may be addressed to.
    pub names: OwnNames,
    /// How strictly signatures are asked for.
    pub mode: AuthMode,
    /// Bounds of requests and rooms.
    pub limits: Limits,
    /// Whether rooms without encryption are refused.
    pub encryption_required: bool,
    /// Where clients find this API, for `/v1/info`.
    pub control_urls: Vec<String>,
    /// What the node enforces, for `/healthz`.
    pub posture: Posture,
}

/// The parts the control plane works with.
#[derive(Clone)]
pub struct Parts {
    /// Users, rooms, logs, sealed keys, audit.
    pub store: Arc<dyn MembershipStore>,
    /// Nonces of requests that were accepted.
    pub nonces: Arc<dyn NonceStore>,
    /// The broker.
    pub data_plane: Arc<dyn DataPlane>,
    /// The bytes of files in rooms; a bus without it has no files.
    pub blobs: Option<Arc<dyn BlobStore>>,
}
