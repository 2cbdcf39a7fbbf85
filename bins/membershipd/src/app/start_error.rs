//! Why the bus did not start: each text says what to do.

use std::path::PathBuf;

use crate::data_plane::{ClusteredPlaneError, EmbeddedPlaneError, ExternalPlaneError};
use crate::first_start::FirstStartError;
use crate::guards::DataDirectoryError;
use crate::local_control::LocalControlError;
use crate::stores::StoresError;
use crate::tls::NodeTlsError;

/// Why the bus did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is not ours alone.
    #[error(transparent)]
    DataDirectory(#[from] DataDirectoryError),
    /// There is no certificate to serve with.
    #[error(transparent)]
    Tls(#[from] NodeTlsError),
    /// The data plane does not listen.
    #[error(transparent)]
    DataPlane(#[from] EmbeddedPlaneError),
    /// The node of a cluster does not run.
    #[error(transparent)]
    Node(#[from] ClusteredPlaneError),
    /// The NATS that somebody else runs cannot be used.
    #[error(transparent)]
    External(#[from] ExternalPlaneError),
    /// The database, or the buckets.
    #[error(transparent)]
    Store(#[from] StoresError),
    /// A node of a cluster with a store of its own; the settings refuse that.
    #[error("the nodes of a cluster share their store: set --store kv")]
    NoSharedStore,
    /// The streams of rooms could not be brought in line with the rooms.
    #[error("the history of rooms cannot be kept: {0}")]
    Streams(#[from] control_plane::ReconcileError),
    /// The files in rooms.
    #[error("{0}; --store-dir names another")]
    Files(#[from] blobstore::OpenError),
    /// Users are missing that have been there, or the first admin cannot be made.
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    /// The control plane does not listen.
    #[error("the control plane cannot listen: {0}; set --http-port or --bind")]
    ControlPlane(#[from] control_plane::BindError),
    /// The local control socket's path would be too long.
    #[error("the path of the local control socket in {} would be too long for the system: give --db a shorter path, or set XDG_RUNTIME_DIR", .0.display())]
    NoPlaceForSocket(PathBuf),
    /// The local control socket.
    #[error(transparent)]
    LocalControl(#[from] LocalControlError),
}

impl StartError {
    /// Whether only other settings, or other files that the settings name, can help.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::DataDirectory(error) => !matches!(error, DataDirectoryError::InUse { .. }),
            Self::Files(error) => !matches!(error, blobstore::OpenError::InUse { .. }),
            Self::Tls(_)
            | Self::NoPlaceForSocket(_)
            | Self::DataPlane(EmbeddedPlaneError::Tls(_))
            | Self::NoSharedStore
            | Self::Node(ClusteredPlaneError::Refused(_) | ClusteredPlaneError::Name(_)) => true,
            Self::Node(ClusteredPlaneError::Server(error)) => matches!(
                error,
                cluster::StartError::Program { .. }
                    | cluster::StartError::NoVersion(_)
                    | cluster::StartError::TooOld { .. }
                    | cluster::StartError::Refused(_)
            ),
            Self::External(error) => error.is_configuration(),
            Self::DataPlane(_)
            | Self::Node(_)
            | Self::Store(_)
            | Self::Streams(_)
            | Self::FirstStart(_)
            | Self::ControlPlane(_)
            | Self::LocalControl(_) => false,
        }
    }
}
