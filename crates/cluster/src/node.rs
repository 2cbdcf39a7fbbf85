//! A node: a nats-server that is kept running, and what its owner can see and do.

mod supervisor;

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use busauth::{Authenticator, Principal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::{
    connections::{Kicker, RecentLogins},
    guard::Cleared,
    own_tls::Accepted,
    peer_health::PeerHealth,
    server::{Blueprint, ReloadError, Reloaded, StartError},
    service_access::ServiceAccess,
    service_keys::{Account, ServiceKeys},
};
use supervisor::{Asked, Supervisor, Told};

/// Reloads that wait for the one that is under way.
const WAITING_RELOADS: usize = 4;

/// A node whose server runs. Stop it with [`Node::stop`]; when it is only dropped, the server is killed.
pub struct Node {
    listens: SocketAddr,
    ctl: ServiceAccess,
    bus: ServiceAccess,
    kicker: Kicker,
    peers: PeerHealth,
    state: watch::Receiver<NodeState>,
    reloader: Reloader,
    stop: oneshot::Sender<Told>,
    stopped: oneshot::Receiver<StopReport>,
    tasks: TaskTracker,
}

/// Has the server of a node take new certificates. Cheap to clone; stays good when the server is started again.
#[derive(Clone)]
pub struct Reloader(mpsc::Sender<Asked>);

impl Reloader {
    /// Whether the files hold other certificates than those in use, such as a node may start with.
    pub async fn is_due(&self) -> Result<bool, ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked::IsDue(answer)).await.map_err(|_| ReloadError::NotRunning)?;
        answered.await.map_err(|_| ReloadError::NotRunning)?
    }

    /// Reads the certificates in the files that the node was configured with. When they are others than those in use, and
    /// such as a node may start with, the server gets them: from then on clients and peers that connect are shown the new
    /// ones. Users are disconnected by that, and connect anew; routes that are there stay.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked::Reload(answer)).await.map_err(|_| ReloadError::NotRunning)?;
        answered.await.map_err(|_| ReloadError::NotRunning)?
    }
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// What its server does.
    pub phase: Phase,
    /// How often the server was started again.
    pub restarts: u32,
    /// Routes to peers.
    pub routes: usize,
    /// Connections of users.
    pub clients: usize,
    /// What the server has said in the last seconds about a route that could not be made: a peer that is down, another
    /// secret, another authority.
    pub route_problem: Option<String>,
    /// When the certificates of its server expire.
    pub certificates: CertificatesExpire,
    /// Whether JetStream can be used, as far as the server knows. It can be wrong for seconds in both directions: what
    /// counts is a write that was acknowledged.
    pub jetstream: JetStreamState,
    /// Whether the server stores what it is to store.
    pub storage: StorageState,
}

/// When certificates expire; `None` where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CertificatesExpire {
    /// The one that other nodes are shown.
    pub routes: Option<SystemTime>,
    /// The one that clients are shown.
    pub clients: Option<SystemTime>,
}

impl CertificatesExpire {
    /// Of what a node is configured with.
    pub fn of(cleared: &Cleared) -> Self {
        Self { routes: cleared.route_certificate_expires(), clients: cleared.client_certificate_expires() }
    }

    /// The first of them.
    pub fn first(&self) -> Option<SystemTime> {
        self.routes.into_iter().chain(self.clients).min()
    }
}

/// What the server of a node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It runs, and users can log in.
    Running,
    /// It has ended and will be started again.
    Restarting {
        /// Why it ended.
        reason: String,
    },
    /// It has been told to stop.
    Stopping,
    /// It has stopped.
    Stopped,
    /// It ended too often, and is not started any more.
    GivenUp {
        /// Why it ended.
        reason: String,
    },
}

/// Whether JetStream can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JetStreamState {
    /// It can.
    Ready,
    /// It cannot now: too few peers, or not caught up yet.
    Waiting {
        /// What the server says about it.
        reason: String,
    },
}

/// Whether a server stores what it is to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageState {
    /// Nothing shows that it does not.
    Works,
    /// It could not write to its disk, and does not until it is started again. That is done when there is room.
    Stopped {
        /// What it is, and what is waited for.
        reason: String,
    },
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At once.
    Now,
    /// No new clients; those that are there are asked to go elsewhere, one after the other, for at most half a minute.
    LameDuck,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopReport {
    /// The server did not end by itself in time.
    pub killed: bool,
}

impl Node {
    /// Starts a node's server. When this returns, users can log in: whether one may is what `authenticator` says.
    ///
    /// JetStream may take longer, and as long as there is no majority of peers; see [`NodeState::jetstream`].
    pub async fn start(cleared: Cleared, authenticator: Arc<dyn Authenticator>) -> Result<Self, StartError> {
        let tasks = TaskTracker::new();
        let accepted = cleared.client().map(|pair| Accepted::only(pair.certificates.first().clone()));
        let blueprint = Blueprint {
            tasks: tasks.clone(),
            accepted,
            cleared,
            keys: Arc::new(ServiceKeys::generate()),
            recent: Arc::new(RecentLogins::default()),
            authenticator,
        };
        blueprint.check_program().await?;
        let server = blueprint.start(blueprint.config().client_listen).await?;
        let listens = server.listens;
        let access = |account| blueprint.access(account, listens);
        let (ctl, bus) = (access(Account::Ctl)?, access(Account::Bus)?);
        let (system, current) = watch::channel(Some(server.system.clone()));
        let peers = PeerHealth::new(current.clone());
        let kicker = Kicker::new(current, Arc::clone(&blueprint.recent));
        let (stop, told) = oneshot::channel();
        let (report, stopped) = oneshot::channel();
        let (supervisor, state) = Supervisor::new(blueprint, listens, system);
        let (reloads, asked) = mpsc::channel(WAITING_RELOADS);
        tasks.spawn(async move {
            let how = supervisor.run(server, told, asked).await;
            // Nobody waits for it when the node was dropped.
            report.send(how).ok();
        });
        tasks.close();
        let reloader = Reloader(reloads);
        Ok(Self { listens, ctl, bus, kicker, peers, state, reloader, stop, stopped, tasks })
    }

    /// Where clients connect.
    pub fn client_address(&self) -> SocketAddr {
        self.listens
    }

    /// How this process enters the account of the bus's own data.
    pub fn control_access(&self) -> &ServiceAccess {
        &self.ctl
    }

    /// How this process enters the account of clients.
    pub fn bus_access(&self) -> &ServiceAccess {
        &self.bus
    }

    /// Closes connections of users.
    pub fn kicker(&self) -> &Kicker {
        &self.kicker
    }

    /// Asks the servers of all nodes how they are.
    pub fn peers(&self) -> &PeerHealth {
        &self.peers
    }

    /// Has the server take new certificates.
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// How the node is, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<NodeState> {
        self.state.clone()
    }

    /// Closes every connection of a principal on this node; see [`Kicker::kick`].
    pub async fn kick(&self, principal: &Principal) -> Result<usize, crate::KickError> {
        self.kicker.kick(principal).await
    }

    /// Stops the server. When this returns, nothing of it is left.
    pub async fn stop(self, how: Stop) -> StopReport {
        self.stop_as(Told { how, last: None }).await
    }

    /// Does one last thing, for ten seconds at most, and then stops as with [`Stop::LameDuck`]. Until it is done the server
    /// works as before, and is not started again when it ends.
    pub async fn stop_after(self, last: impl Future<Output = ()> + Send + 'static) -> StopReport {
        self.stop_as(Told { how: Stop::LameDuck, last: Some(Box::pin(last)) }).await
    }

    async fn stop_as(self, told: Told) -> StopReport {
        // It is not there any more when it gave up.
        self.stop.send(told).ok();
        let report = self.stopped.await.unwrap_or_default();
        self.tasks.wait().await;
        report
    }
}
