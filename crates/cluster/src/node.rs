//! A node: a nats-server that is kept running, and what its owner can see and do.

mod supervisor;

use std::{net::SocketAddr, sync::Arc};

use busauth::{Authenticator, Principal};
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::{
    connections::{Kicker, RecentLogins},
    guard::Cleared,
    peer_health::PeerHealth,
    server::{Blueprint, StartError},
    service_access::ServiceAccess,
    service_keys::{Account, ServiceKeys},
};
use supervisor::{Supervisor, Told};

/// A node whose server runs. Stop it with [`Node::stop`]; when it is only dropped, the server is killed.
pub struct Node {
    listens: SocketAddr,
    ctl: ServiceAccess,
    bus: ServiceAccess,
    kicker: Kicker,
    peers: PeerHealth,
    state: watch::Receiver<NodeState>,
    stop: oneshot::Sender<Told>,
    stopped: oneshot::Receiver<StopReport>,
    tasks: TaskTracker,
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
    /// Whether JetStream can be used, as far as the server knows. It can be wrong for seconds in both directions: what
    /// counts is a write that was acknowledged.
    pub jetstream: JetStreamState,
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
        let blueprint = Blueprint {
            tasks: tasks.clone(),
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
        tasks.spawn(async move {
            let how = supervisor.run(server, told).await;
            // Nobody waits for it when the node was dropped.
            report.send(how).ok();
        });
        tasks.close();
        Ok(Self { listens, ctl, bus, kicker, peers, state, stop, stopped, tasks })
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
