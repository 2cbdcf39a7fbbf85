//! A bus that serves, and how it stops: in reverse.

use std::sync::Arc;
use std::time::Duration;

use blobstore::BlobStore;
use control_plane::{ControlPlane, Drained};
use membership_store::MembershipStore;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{App, RunError};
use crate::data_plane::RunningPlane;
use crate::files;
use crate::guards::DataDirectory;
use crate::notify;
use crate::shutdown::{Stop, StopReport};
use crate::tls::TlsReload;

/// How long requests in hand may take once stopping has begun.
const REQUEST_DRAIN: Duration = Duration::from_secs(5);

/// A bus whose parts all run.
pub(super) struct Running {
    plane: RunningPlane,
    store: Arc<dyn MembershipStore>,
    files: Arc<dyn BlobStore>,
    control: Arc<ControlPlane>,
    tasks: TaskTracker,
    http: JoinHandle<Drained>,
    local: JoinHandle<()>,
    /// Ends what takes requests.
    serving: CancellationToken,
    /// Ends what goes on beside them.
    upkeep: CancellationToken,
    /// Ends what goes on until the last client is gone: rights may still change.
    keeping: CancellationToken,
    // Last: the lock is let go of when everything else is gone.
    directory: DataDirectory,
}

impl Running {
    /// Spawns everything, and lets clients in.
    pub(super) fn begin(app: App, hangups: mpsc::Receiver<()>) -> Self {
        let App { tls, plane, store, files, control, rpc, server, local, directory, .. } = app;
        let tasks = TaskTracker::new();
        let serving = CancellationToken::new();
        let http = tasks.spawn(server.serve(control.router(), serving.clone(), REQUEST_DRAIN));
        let local = tasks.spawn(local.serve(control.local_router(), serving.clone()));
        tasks.spawn(rpc.run(serving.clone()));
        let upkeep = CancellationToken::new();
        // First what this process shows, since the server of a cluster's node may be shown to have the same.
        let asked = match tls {
            Some(tls) => {
                let (then, asked) = mpsc::channel(1);
                tasks.spawn(TlsReload::new(tls).run(hangups, then, upkeep.clone()));
                asked
            }
            None => hangups,
        };
        tasks.spawn(plane.clone().reload_when_asked(asked, upkeep.clone()));
        tasks.spawn(feed_watchdog(store.clone(), plane.clone(), upkeep.clone()));
        tasks.spawn(files::sweep(control.clone(), plane.clone(), upkeep.clone()));
        let keeping = CancellationToken::new();
        tasks.spawn(plane.clone().upkeep(keeping.clone()));
        tasks.close();
        plane.open();
        Self { plane, store, files, control, tasks, http, local, serving, upkeep, keeping, directory }
    }

    /// Returns when something has ended that should not have.
    pub(super) async fn ended(&mut self) -> RunError {
        tokio::select! {
            _ = &mut self.http => RunError("the control plane"),
            _ = &mut self.local => RunError("the local control socket"),
            what = self.plane.ended() => RunError(what),
        }
    }

    /// Stops everything, under one deadline.
    pub(super) async fn stop(self) -> StopReport {
        let mut stopping = self.plane.begin_stop();
        self.serving.cancel();
        self.upkeep.cancel();
        if !self.http.is_finished() {
            requests_in_hand(&mut stopping, self.http).await;
        }
        stopping.step("changes under way", self.control.finish()).await;
        self.plane.let_clients_go(&mut stopping).await;
        self.keeping.cancel();
        stopping.step("background tasks", self.tasks.wait()).await;
        stopping.step("the files", self.files.close()).await;
        stopping.step("the store", self.store.close()).await;
        self.plane.close(&mut stopping).await;
        drop(self.directory);
        stopping.report()
    }
}

async fn requests_in_hand(stopping: &mut Stop, http: JoinHandle<Drained>) {
    let abort = http.abort_handle();
    match stopping.step("requests in hand", http).await {
        Some(Ok(drained)) if drained.aborted > 0 => {
            stopping.abort(format!("{} connections of the control plane", drained.aborted));
        }
        Some(Ok(_)) => {}
        Some(Err(error)) => stopping.abort(format!("the control plane ({error})")),
        None => abort.abort(),
    }
}

/// A bus whose database hangs is started again. The store of a cluster, or of an external NATS, is answered from memory, and waits for other
/// nodes where it has to: starting this one again brings none of them back, so only the process itself counts.
async fn feed_watchdog(store: Arc<dyn MembershipStore>, plane: RunningPlane, stop: CancellationToken) {
    let alive = || {
        let (store, plane) = (store.clone(), plane.clone());
        async move { !matches!(plane, RunningPlane::Embedded(_)) || store.is_first_start().await.is_ok() }
    };
    notify::watchdog(alive, stop).await;
}
