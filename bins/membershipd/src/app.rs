//! The bus of one node: built in order, run, and stopped in reverse.
//!
//! Building binds every port and opens every file; only then is anything spawned. Until [`App::run`] no
//! client is let in on either plane.

mod running;
mod start_error;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use blobstore::BlobStore;
use busauth::CaFingerprint;
use control_plane::{
    AccessTable, ControlConfig, ControlPlane, Orphans, Parts, ReconcileError, Reconciled, RoomStreams,
    Server, ServerConfig, ServerLimits,
};
use membership_store::{MembershipStore, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::running::Running;
pub use self::start_error::StartError;

use crate::config::{Config, Plane};
use crate::data_plane::{ClusteredPlane, EmbeddedPlane, ExternalPlane, Joining, RunningPlane, ServiceAccess};
use crate::files;
use crate::first_start::{self, Beginning, FirstAdmin};
use crate::guards::DataDirectory;
use crate::local_control::LocalControl;
use crate::node_control;
use crate::notify;
use crate::own_names::OwnNames;
use crate::rpc::Rpc;
use crate::shutdown::StopReport;
use crate::stores::Stores;
use crate::tls::NodeTls;

/// How long a start waits for streams whose leader is being elected, and how often it looks.
const ELECTIONS: Duration = Duration::from_mins(2);
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// A bus that is ready to run.
pub struct App {
    beginning: Beginning,
    control_urls: Vec<String>,
    tls: Option<NodeTls>,
    plane: RunningPlane,
    store: Arc<dyn MembershipStore>,
    files: Arc<dyn BlobStore>,
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
        let directory = claim_directory(&config)?;
        let own_names = OwnNames::of(&config);
        let tls = match config.exposure.tls() {
            Some(source) => Some(NodeTls::open(source, &config.paths, &own_names)?),
            None => None,
        };

        let plane = start_plane(&config, tls.as_ref(), &own_names).await?;
        let stores = Box::pin(Stores::open(&config, &plane)).await?;
        let store = stores.store();
        let files = Box::pin(files::open(&config, &plane)).await?;
        let first_admin = if config.exposure.is_public() { FirstAdmin::Await } else { FirstAdmin::MakeOne };
        let beginning = first_start::begin(store.as_ref(), &config.paths, first_admin).await?;
        let access = AccessTable::new(store.view().clone(), node_control::access_options(&config));
        bring_in_line(store.as_ref(), &plane).await?;
        let rpc = Rpc::listen(plane.gate(), access.clone(), plane.rooms()).await?;

        let server = Server::bind(ServerConfig {
            listen: (config.exposure.address(), config.http_port).into(),
            tls: tls.as_ref().map(NodeTls::for_http).transpose()?,
            limits: ServerLimits::default(),
        })
        .await?;
        let control_urls = own_names.control_urls(server.local_addr());
        let control_config = node_control::control_config(&config, &own_names, control_urls.clone());
        introduce_users(&config, &plane, &stores, access, &control_config).await?;
        let nonces = stores.nonces(&beginning);
        let data_plane = plane.for_control();
        let parts = Parts { store: store.clone(), nonces, data_plane, blobs: Some(files.clone()) };
        let control = ControlPlane::new(control_config, parts);
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

    /// The address of the data plane; `None` where somebody else runs it.
    pub fn data_addr(&self) -> Option<SocketAddr> {
        self.plane.local_addr()
    }

    /// The URL of the data plane at the address it listens on, or of the servers that somebody else runs.
    pub fn data_url(&self) -> String {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        match self.data_addr() {
            Some(address) => format!("{scheme}://{}", reachable(address)),
            None => self.plane.for_control().client_urls().join(","),
        }
    }

    /// What was found at start.
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// What clients pin, when the certificate is of the bus's own authority.
    pub fn ca_fingerprint(&self) -> Option<CaFingerprint> {
        self.tls.as_ref().and_then(NodeTls::local_fingerprint)
    }

    /// How this process itself reaches the data plane that runs in it. With it everything on the data plane can be seen
    /// and done; it is here for tests of clients against a data plane that lies.
    pub fn service_access(&self) -> Option<ServiceAccess> {
        self.plane.service_access()
    }

    /// Lets clients in and serves until `stop`, then stops. Each message on `hangups` asks for fresh
    /// certificates.
    pub async fn run(
        self,
        stop: CancellationToken,
        hangups: mpsc::Receiver<()>,
    ) -> Result<StopReport, RunError> {
        let mut running = Running::begin(self, hangups);
        notify::ready("serving").await;
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            error = running.ended() => Some(error),
        };
        notify::stopping().await;
        let report = running.stop().await;
        ended.map_or(Ok(report), Err)
    }
}

/// The data directory and that of the streams are this process's alone, and those of the bus that is meant.
fn claim_directory(config: &Config) -> Result<DataDirectory, StartError> {
    let directory = DataDirectory::claim(&config.paths)?;
    if !matches!(config.plane, Plane::External(_)) {
        DataDirectory::check_further(&config.streams.directory)?;
    }
    DataDirectory::check_streams(&config.streams.directory, &config.plane)?;
    Ok(directory)
}

/// Starts whichever data plane was asked for. It lets nobody in yet.
async fn start_plane(
    config: &Config,
    tls: Option<&NodeTls>,
    own_names: &OwnNames,
) -> Result<RunningPlane, StartError> {
    Ok(match &config.plane {
        Plane::Embedded(_) => {
            RunningPlane::Embedded(Arc::new(EmbeddedPlane::bind(config, tls, own_names).await?))
        }
        Plane::Clustered(settings) => {
            let own_pair = tls.and_then(NodeTls::own_pair);
            let plane = Box::pin(ClusteredPlane::start(settings, own_pair, own_names)).await?;
            RunningPlane::Clustered(Arc::new(plane))
        }
        Plane::External(settings) => {
            let plane = Box::pin(ExternalPlane::start(settings, &config.data_urls, &config.paths)).await?;
            RunningPlane::External(Arc::new(plane))
        }
    })
}

/// Tells the data plane who the users are: logins are decided from then on.
async fn introduce_users(
    config: &Config,
    plane: &RunningPlane,
    stores: &Stores,
    access: AccessTable,
    control: &ControlConfig,
) -> Result<(), StartError> {
    match (plane, stores, &config.plane) {
        (RunningPlane::Clustered(plane), Stores::Kv(kv), Plane::Clustered(settings)) => {
            let joining = Joining {
                name: settings.node.node.to_string(),
                store: kv.store.clone(),
                moves: kv.moves(plane.rooms()),
                access,
                staleness_bound: settings.staleness_bound,
                posture: control.posture.clone(),
                public: config.exposure.is_public(),
                route_tls: settings.node.route_tls.is_some(),
                control_urls: control.control_urls.clone(),
            };
            plane.join(joining).await?;
        }
        (RunningPlane::Embedded(plane), ..) => plane.authenticate_with(Arc::new(access)),
        (RunningPlane::External(plane), Stores::Kv(kv), _) => {
            plane.let_in(access, Some(kv.moves(plane.rooms()))).await?;
        }
        (RunningPlane::External(plane), Stores::Sqlite(_), _) => plane.let_in(access, None).await?,
        (RunningPlane::Clustered(_), ..) => return Err(StartError::NoSharedStore),
    }
    Ok(())
}

/// Brings the streams in line with the rooms.
async fn bring_in_line(store: &dyn MembershipStore, plane: &RunningPlane) -> Result<(), StartError> {
    let rooms = plane.rooms();
    let reconciled = match plane {
        RunningPlane::Embedded(_) => control_plane::reconcile(store, rooms.as_ref(), Orphans::Remove).await?,
        RunningPlane::External(_) => reconcile_patiently(store, rooms.as_ref()).await?,
        RunningPlane::Clustered(plane) => {
            let reconciling = async {
                plane.learn_copies().await;
                reconcile_patiently(store, rooms.as_ref()).await
            };
            plane.waiting(Box::pin(reconciling)).await?
        }
    };
    if reconciled != Reconciled::default() {
        let Reconciled { made, changed, removed, postponed } = reconciled;
        tracing::info!(made, changed, removed, postponed, "streams were brought in line with their rooms");
    }
    Ok(())
}

/// Servers that elect a leader do not answer, or refuse, for some seconds; and a store that they keep is not available.
async fn reconcile_patiently(
    store: &dyn MembershipStore,
    rooms: &dyn RoomStreams,
) -> Result<Reconciled, ReconcileError> {
    let deadline = Instant::now() + ELECTIONS;
    loop {
        match control_plane::reconcile(store, rooms, Orphans::RemoveDeleted).await {
            Err(error @ (ReconcileError::DataPlane(_) | ReconcileError::Store(StoreError::Unavailable)))
                if Instant::now() < deadline =>
            {
                tracing::warn!(%error, "streams are not in line with their rooms yet; it is tried again");
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            outcome => return outcome,
        }
    }
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
