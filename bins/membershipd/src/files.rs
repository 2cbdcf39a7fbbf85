//! Files in rooms, in whichever place the data plane leaves for them.

use std::sync::Arc;
use std::time::Duration;

use blobstore::{BlobStore, FsOptions, FsStore, JetStreamOpenError, JetStreamOptions, JetStreamStore};
use control_plane::ControlPlane;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::data_plane::{ClusteredPlane, RunningPlane};

/// How often files that nobody refers to are looked for, and how old they have to be: older than any upload whose
/// record is being written, on whichever node.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
const SWEEP_GRACE: Duration = Duration::from_hours(1);

/// Why files cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The directory.
    #[error("{0}; --store-dir names another")]
    Directory(#[from] blobstore::OpenError),
    /// The bucket that the nodes of a cluster share.
    #[error("the files that the nodes of a cluster share cannot be opened: {0}")]
    Shared(#[from] JetStreamOpenError),
}

/// Opens the place of files: a directory, or a bucket that the nodes of a cluster share.
pub(crate) async fn open(config: &Config, plane: &RunningPlane) -> Result<Arc<dyn BlobStore>, FilesError> {
    match plane {
        RunningPlane::Embedded(_) | RunningPlane::External(_) => {
            Ok(Arc::new(FsStore::open(config.paths.files(), FsOptions::default()).await?))
        }
        RunningPlane::Clustered(plane) => Ok(Arc::new(plane.waiting(Box::pin(shared(plane))).await?)),
    }
}

/// The bucket is made with as many copies as users and rooms have, or with fewer where nodes are missing now. Like those it
/// is waited for.
async fn shared(plane: &ClusteredPlane) -> Result<JetStreamStore, JetStreamOpenError> {
    let mut replicas = plane.learn_copies().await;
    loop {
        let context = async_nats::jetstream::new(plane.control_client());
        let options = JetStreamOptions { replicas, ..JetStreamOptions::default() };
        match Box::pin(JetStreamStore::open(context, options)).await {
            Err(JetStreamOpenError::Unreachable(reason)) => {
                tracing::warn!(reason, replicas, "the place of files is not there yet");
                replicas = replicas.saturating_sub(1).max(1);
            }
            opened => return opened,
        }
    }
}

/// Removes files that no room refers to, at start and from time to time.
///
/// All nodes of a cluster do; which files are referred to is decided by this node's view, so one that does not know
/// whether its view still holds leaves it to the others.
pub(crate) async fn sweep(control: Arc<ControlPlane>, plane: RunningPlane, stop: CancellationToken) {
    let mut due = tokio::time::interval(SWEEP_INTERVAL);
    let rounds = async {
        loop {
            due.tick().await;
            if !plane.is_fresh() {
                tracing::debug!("files are swept by nodes that know how things are");
                continue;
            }
            match control.sweep_files(SWEEP_GRACE).await {
                Ok(swept) if swept.orphans + swept.staged > 0 => {
                    tracing::info!(
                        orphans = swept.orphans,
                        staged = swept.staged,
                        "removed files that nobody refers to"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "files that nobody refers to could not be removed"),
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = rounds => {}
    }
}
