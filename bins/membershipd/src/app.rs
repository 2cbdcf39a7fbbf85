//! The bus of one node: built in order, run, and stopped in reverse.
//!
//! Building binds every port and opens every file; only then is anything spawned. Until [`App::run`] no
//! client is let in on either plane.

mod start_error;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use blobstore::{BlobStore as _, FsOptions, FsStore};
use busauth::CaFingerprint;
use control_plane::{AccessTable, ControlPlane, Drained, Reconciled, Server, ServerConfig, ServerLimits};
use membership_store::{MembershipStore, SqliteStore};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::start_error::StartError;

use crate::config::Config;
use crate::data_plane::{EmbeddedPlane, ServiceAccess};
use crate::first_start::{self, Beginning, FirstAdmin};
use crate::guards::DataDirectory;
use crate::local_control::LocalControl;
use crate::node_control;
use crate::notify;
use crate::own_names::OwnNames;
use crate::rpc::Rpc;
use crate::shutdown::{STOP_DEADLINE, Stop, StopReport};
use crate::tls::{NodeTls, TlsReload};

/// How long requests in hand may take once stopping has begun.
const REQUEST_DRAIN: Duration = Duration::from_secs(5);

/// How often files that nobody refers to are looked for, and how old they have to be: older than any upload whose
/// record is being written.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
const SWEEP_GRACE: Duration = Duration::from_hours(1);

/// A bus that is ready to run.
pub struct App {
    beginning: Beginning,
    control_urls: Vec<String>,
    tls: Option<NodeTls>,
    plane: Arc<EmbeddedPlane>,
    store: Arc<SqliteStore>,
    files: Arc<FsStore>,
    control: Arc<ControlPlane>,
    rpc: Rpc,
    server: Server,
    local: LocalControl,
    // Last: the lock is let go of when everything else is gone.
    directory: DataDirectory,
}

/// The bus ended although nobody had stopped it.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended unexpectedly; its log has the reason")]
pub struct RunError(&'static str);

impl App {
    /// Builds the bus: guards, TLS, broker, store, control plane, in this order.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        let directory = DataDirectory::claim(&config.paths)?;
        DataDirectory::check_further(&config.streams.directory)?;
        let own_names = OwnNames::of(&config);
        let tls = match config.exposure.tls() {
            Some(source) => Some(NodeTls::open(source, &config.paths, &own_names)?),
            None => None,
        };

        let plane = Arc::new(EmbeddedPlane::bind(&config, tls.as_ref(), &own_names).await?);
        let store = Arc::new(SqliteStore::open(config.paths.db()).await?);
        let files = Arc::new(FsStore::open(config.paths.files(), FsOptions::default()).await?);
        let first_admin = if config.exposure.is_public() { FirstAdmin::Await } else { FirstAdmin::MakeOne };
        let beginning = first_start::begin(store.as_ref(), &config.paths, first_admin).await?;
        let access = AccessTable::new(store.view().clone(), node_control::access_options(&config));
        let reconciled = control_plane::reconcile(store.as_ref(), plane.as_ref()).await?;
        if reconciled != Reconciled::default() {
            let Reconciled { made, changed, removed, postponed } = reconciled;
            tracing::info!(
                made,
                changed,
                removed,
                postponed,
                "streams were brought in line with their rooms"
            );
        }
        let rpc = Rpc::listen(plane.gate(), access.clone(), plane.rooms()).await?;
        plane.authenticate_with(Arc::new(access));

        let server = Server::bind(ServerConfig {
            listen: (config.exposure.address(), config.http_port).into(),
            tls: tls.as_ref().map(NodeTls::for_http).transpose()?,
            limits: ServerLimits::default(),
        })
        .await?;
        let control_urls = own_names.control_urls(server.local_addr());
        let control = node_control::control_plane(
            node_control::control_config(&config, &own_names, control_urls.clone()),
            store.clone(),
            plane.clone(),
            files.clone(),
            &beginning,
        );
        let socket = config
            .paths
            .control_socket()
            .ok_or_else(|| StartError::NoPlaceForSocket(config.paths.directory().to_owned()))?;
        let local = LocalControl::bind(socket)?;
        Ok(Self { beginning, control_urls, tls, plane, store, files, control, rpc, server, local, directory })
    }

    /// The address of the control plane.
    pub fn control_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The URL of the control plane at the address it listens on.
    pub fn control_url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", reachable(self.control_addr()))
    }

    /// The URLs under which clients elsewhere find the control plane, as they are told.
    pub fn control_urls(&self) -> &[String] {
        &self.control_urls
    }

    /// The address of the data plane.
    pub fn data_addr(&self) -> SocketAddr {
        self.plane.broker().local_addr()
    }

    /// The URL of the data plane at the address it listens on.
    pub fn data_url(&self) -> String {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        format!("{scheme}://{}", reachable(self.data_addr()))
    }

    /// What was found at start.
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// What clients pin, when the certificate is of the bus's own authority.
    pub fn ca_fingerprint(&self) -> Option<CaFingerprint> {
        self.tls.as_ref().and_then(NodeTls::local_fingerprint)
    }

    /// How this process itself reaches the data plane. With it everything on the data plane can be seen and
    /// done; it is here for tests of clients against a data plane that lies.
    pub fn service_access(&self) -> ServiceAccess {
        self.plane.service_access()
    }

    /// Lets clients in and serves until `stop`, then stops. Each message on `hangups` asks for fresh
    /// certificates.
    pub async fn run(
        self,
        stop: CancellationToken,
        hangups: mpsc::Receiver<()>,
    ) -> Result<StopReport, RunError> {
        let Self { tls, plane, store, files, control, rpc, server, local, directory, .. } = self;
        let serving = CancellationToken::new();
        let tasks = TaskTracker::new();
        let mut http = tasks.spawn(server.serve(control.router(), serving.clone(), REQUEST_DRAIN));
        let mut local = tasks.spawn(local.serve(control.local_router(), serving.clone()));
        let upkeep = CancellationToken::new();
        if let Some(tls) = tls {
            tasks.spawn(TlsReload::new(tls).run(hangups, upkeep.clone()));
        }
        tasks.spawn(rpc.run(serving.clone()));
        tasks.spawn(feed_watchdog(store.clone(), upkeep.clone()));
        tasks.spawn(sweep_files(control.clone(), upkeep.clone()));
        tasks.close();
        plane.open();
        notify::ready("serving");

        let ended = tokio::select! {
            () = stop.cancelled() => None,
            _ = &mut http => Some(RunError("the control plane")),
            _ = &mut local => Some(RunError("the local control socket")),
        };

        notify::stopping();
        let mut stopping = Stop::within(STOP_DEADLINE);
        plane.broker().lame_duck();
        serving.cancel();
        upkeep.cancel();
        if ended.is_none() {
            requests_in_hand(&mut stopping, http).await;
        }
        stopping.step("changes under way", control.finish()).await;
        stopping.step("background tasks", tasks.wait()).await;
        stopping.step("the files", files.close()).await;
        stopping.step("the store", store.close()).await;
        stopping.step("the last events", plane.flush_events()).await;
        connections(&mut stopping, &plane).await;
        drop(directory);
        match ended {
            None => Ok(stopping.report()),
            Some(error) => Err(error),
        }
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

async fn connections(stopping: &mut Stop, plane: &EmbeddedPlane) {
    let left = stopping.left();
    let closed = plane.shutdown(left).await;
    if closed.aborted > 0 {
        stopping.abort(format!("{} connections of the data plane", closed.aborted));
    }
}

/// Removes files that no room refers to, at start and from time to time.
async fn sweep_files(control: Arc<ControlPlane>, stop: CancellationToken) {
    let mut due = tokio::time::interval(SWEEP_INTERVAL);
    let rounds = async {
        loop {
            due.tick().await;
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

async fn feed_watchdog(store: Arc<SqliteStore>, stop: CancellationToken) {
    let alive = || {
        let store = store.clone();
        async move { store.is_first_start().await.is_ok() }
    };
    notify::watchdog(alive, stop).await;
}

/// An address that this machine can connect to: an unspecified one is not.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
