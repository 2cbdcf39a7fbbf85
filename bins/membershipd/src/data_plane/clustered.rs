//! A node of a cluster as data plane: a nats-server under supervision, which asks this process about every login, and
//! whose streams all nodes share.

mod copies;
mod member;
mod peers;
mod raise;
mod reload;
mod settle;
mod status;
mod turn;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use busauth::{Subject, UserId};
use bytes::Bytes;
use cluster::{JetStreamState, Node, NodeState, PairFiles, Phase, Stop, StorageState};
use control_api::{ClusterStatus, ComponentState, DataPlaneHealth, RaisedReplicas, ReloadedCertificates};
use control_plane::{ClusterError, DataPlane, DataPlaneError, Redundancy, RoomStreams};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::late_authenticator::LateAuthenticator;
use super::room_streams::{Acknowledge, JetStreamRooms};
use crate::config::ClusterSettings;
use crate::own_names::OwnNames;
use crate::rpc::Gate;

pub(crate) use self::member::Joining;
use self::member::Member;

/// How often is said why this node does not serve yet.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// How often is asked again what nobody can say yet.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Why a node without a lease lets nobody in.
const NOT_FRESH: &str = "this node does not know whether what it knows still holds: it lets nobody in until it reaches the others";

/// A node, and what this process has to do with it.
pub(crate) struct ClusteredPlane {
    /// Gone when it has been told to stop.
    node: Mutex<Option<Node>>,
    state: watch::Receiver<NodeState>,
    listens: std::net::SocketAddr,
    logins: Arc<LateAuthenticator>,
    service: async_nats::Client,
    control: async_nats::Client,
    kicker: cluster::Kicker,
    peers: cluster::PeerHealth,
    reloader: cluster::Reloader,
    rooms: Arc<JetStreamRooms>,
    gate: Arc<Gate>,
    client_urls: Vec<String>,
    tls: bool,
    member: OnceLock<Arc<Member>>,
}

/// Why a node of a cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum ClusteredPlaneError {
    /// Its configuration.
    #[error(transparent)]
    Refused(cluster::Violations),
    /// Its server.
    #[error(transparent)]
    Server(#[from] cluster::StartError),
    /// This process cannot enter the server that it has started.
    #[error("the control plane cannot reach its own nats-server: {0}")]
    Service(String),
    /// The name of the node.
    #[error(transparent)]
    Name(#[from] membership_store::NodeNameError),
    /// Its record was not taken by the store.
    #[error("this node cannot say that it is there: {0}")]
    Record(membership_store::StoreError),
}

impl ClusteredPlane {
    /// Starts the node's server. Nobody is let in before [`ClusteredPlane::join`].
    pub(crate) async fn start(
        settings: &ClusterSettings,
        own_pair: Option<PairFiles>,
        own_names: &OwnNames,
    ) -> Result<Self, ClusteredPlaneError> {
        let mut config = settings.node.clone();
        config.client_tls = config.client_tls.or(own_pair);
        let tls = config.client_tls.is_some();
        let cleared = cluster::clear(config, SystemTime::now()).map_err(ClusteredPlaneError::Refused)?;
        let logins = Arc::new(LateAuthenticator::default());
        let node = Node::start(cleared, logins.clone()).await?;
        let service = connect(node.bus_access(), "membershipd").await?;
        let gate = Arc::new(Gate::new(connect(node.bus_access(), "membershipd answers").await?));
        let control = connect(node.control_access(), "membershipd").await?;
        // nats-server does not look at reply subjects: an acknowledgement would go wherever a message asks for it.
        let rooms = Arc::new(JetStreamRooms::new(service.clone(), Acknowledge::Nobody));
        let listens = node.client_address();
        Ok(Self {
            state: node.state(),
            listens,
            logins,
            service,
            control,
            kicker: node.kicker().clone(),
            peers: node.peers().clone(),
            reloader: node.reloader().clone(),
            rooms,
            gate,
            client_urls: own_names.data_urls(listens),
            tls,
            node: Mutex::new(Some(node)),
            member: OnceLock::new(),
        })
    }

    /// Where clients connect.
    pub(crate) fn local_addr(&self) -> std::net::SocketAddr {
        self.listens
    }

    /// The account of the bus's own data.
    pub(crate) fn control_client(&self) -> async_nats::Client {
        self.control.clone()
    }

    /// The account of clients.
    pub(crate) fn bus_client(&self) -> async_nats::Client {
        self.service.clone()
    }

    /// The streams of rooms.
    pub(crate) fn rooms(&self) -> Arc<JetStreamRooms> {
        Arc::clone(&self.rooms)
    }

    /// What answers to requests are sent through.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Finds out how many nodes keep users and rooms: as many keep the streams that are made from now on. Waits until
    /// somebody can say it.
    pub(crate) async fn learn_copies(&self) -> usize {
        loop {
            let copies = copies::look(&self.control).await.replicas as usize;
            if copies > 0 {
                self.rooms.set_copies(copies);
                return copies;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether what this node knows still holds.
    pub(crate) fn is_fresh(&self) -> bool {
        self.member.get().is_some_and(|member| member.is_fresh())
    }

    /// Says why the node waits, until `done`.
    pub(crate) async fn waiting<T>(&self, done: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let saying = async {
            loop {
                tokio::time::sleep(SAY_AGAIN).await;
                let NodeState { phase, routes, route_problem, jetstream, .. } = self.state.borrow().clone();
                let seconds = began.elapsed().as_secs();
                let others = match (route_problem, routes) {
                    (Some(problem), _) => problem,
                    // A server says only once that nobody is where another one should be.
                    (None, 0) => "none answers at its address".to_owned(),
                    (None, _) => "connected".to_owned(),
                };
                let jetstream = match jetstream {
                    JetStreamState::Ready => "ready".to_owned(),
                    JetStreamState::Waiting { reason } => reason,
                };
                tracing::warn!(?phase, routes, others, jetstream, seconds, "waiting for other nodes");
            }
        };
        tokio::select! {
            done = done => done,
            () = saying => unreachable!("it is said until it is done"),
        }
    }

    /// Becomes a member of the cluster whose store this is, and lets users in.
    pub(crate) async fn join(&self, joining: Joining) -> Result<(), ClusteredPlaneError> {
        let parts = member::Parts {
            control: self.control.clone(),
            bus: self.service.clone(),
            kicker: self.kicker.clone(),
            peers: self.peers.clone(),
            reloader: self.reloader.clone(),
            state: self.state.clone(),
            gate: self.gate(),
            rooms: self.rooms(),
            data_urls: self.client_urls.clone(),
        };
        let member = Arc::new(Member::new(joining, parts)?);
        member.renew().await.map_err(ClusteredPlaneError::Record)?;
        self.logins.set(member.logins());
        if self.member.set(member).is_err() {
            tracing::error!("the node had joined already");
        }
        Ok(())
    }

    fn member(&self) -> Result<&Member, DataPlaneError> {
        let member = self.member.get().map(Arc::as_ref);
        member.ok_or_else(|| DataPlaneError::Unconfirmed("this node has not joined yet".to_owned()))
    }

    /// Keeps the lease, follows changes of other nodes and answers their questions, until stopped.
    pub(crate) async fn upkeep(self: Arc<Self>, stop: CancellationToken) {
        if let Some(member) = self.member.get() {
            Arc::clone(member).upkeep(stop).await;
        }
    }

    /// Has the server take new certificates whenever a signal asks for it, until stopped.
    pub(crate) async fn reload_when_asked(&self, asked: mpsc::Receiver<()>, stop: CancellationToken) {
        if let Some(member) = self.member.get() {
            reload::when_asked(member, asked, stop).await;
        }
    }

    /// Returns when the server is not started any more.
    pub(crate) async fn ended(&self) {
        let mut state = self.state.clone();
        let gone = |state: &NodeState| matches!(state.phase, Phase::GivenUp { .. });
        if state.wait_for(gone).await.is_err() {
            // It was stopped, by this process.
            std::future::pending::<()>().await;
        }
    }

    /// Lets clients go elsewhere, and stops the server. Answers whether it had to be killed.
    pub(crate) async fn leave(&self) -> bool {
        let Some(node) = self.node.lock().take() else { return false };
        let Some(member) = self.member.get().map(Arc::clone) else {
            return node.stop(Stop::LameDuck).await.killed;
        };
        node.stop_after(async move { member.go().await }).await.killed
    }

    /// Says that this node serves nobody any more.
    pub(crate) async fn say_goodbye(&self) {
        if let Some(member) = self.member.get() {
            member.say_goodbye().await;
        }
    }

    /// Hands events and answers that are waiting to the server.
    pub(crate) async fn flush_events(&self) {
        self.gate.flush().await;
        if let Err(error) = self.service.flush().await {
            tracing::debug!(%error, "the last events may not have been published");
        }
    }
}

async fn connect(
    access: &cluster::ServiceAccess,
    name: &str,
) -> Result<async_nats::Client, ClusteredPlaneError> {
    // In a box because it is large, and so would be every future around it.
    let connecting = Box::pin(access.options().name(name).connect(access.url()));
    connecting.await.map_err(|error| ClusteredPlaneError::Service(error.to_string()))
}

#[async_trait]
impl DataPlane for ClusteredPlane {
    fn rooms(&self) -> &dyn RoomStreams {
        &*self.rooms
    }

    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        // Nobody has been let in before the node has joined.
        let Some(member) = self.member.get() else { return Ok(()) };
        // The other nodes are asked also where this one has failed.
        let here = member.apply(users).await;
        let elsewhere = settle::everywhere(member, users).await;
        here.and(elsewhere)
    }

    async fn access_granted(&self, users: &[UserId]) {
        if let Some(member) = self.member.get() {
            settle::known(member, users).await;
        }
    }

    async fn publish_event(&self, subject: &Subject, payload: Bytes) {
        if let Err(error) = self.service.publish(subject.as_str().to_owned(), payload).await {
            tracing::warn!(%error, %subject, "an event was not published");
        }
    }

    fn client_urls(&self) -> Vec<String> {
        let mut urls = self.client_urls.clone();
        for url in self.member.get().map(|member| member.other_data_urls()).unwrap_or_default() {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    fn other_control_urls(&self) -> Vec<String> {
        self.member.get().map(|member| member.other_control_urls()).unwrap_or_default()
    }

    fn is_fresh(&self) -> bool {
        ClusteredPlane::is_fresh(self)
    }

    fn tls(&self) -> bool {
        self.tls
    }

    fn health(&self) -> DataPlaneHealth {
        let NodeState { phase, jetstream, clients, certificates, storage, .. } = self.state.borrow().clone();
        let obstacle = self.member.get().map_or(Some(NOT_FRESH), |member| member.obstacle());
        let (state, detail) = match (phase, obstacle, jetstream, storage) {
            (Phase::Running, Some(obstacle), ..) => (ComponentState::Down, Some(obstacle.to_owned())),
            (Phase::Running, None, JetStreamState::Ready, StorageState::Works) => {
                let short = self.member.get().and_then(|member| member.falls_short());
                match short.or_else(|| reload::warning(certificates)) {
                    None => (ComponentState::Ok, None),
                    short => (ComponentState::Degraded, short),
                }
            }
            (Phase::Running, None, _, StorageState::Stopped { reason })
            | (Phase::Running, None, JetStreamState::Waiting { reason }, StorageState::Works) => {
                (ComponentState::Degraded, Some(reason))
            }
            (Phase::Restarting { reason } | Phase::GivenUp { reason }, ..) => {
                (ComponentState::Down, Some(format!("nats-server does not run: {reason}")))
            }
            (Phase::Stopping | Phase::Stopped, ..) => {
                (ComponentState::Down, Some("nats-server is being stopped".to_owned()))
            }
        };
        DataPlaneHealth {
            state,
            kind: "clustered".to_owned(),
            connections: clients as u64,
            streams: None,
            detail,
        }
    }

    async fn cluster(&self) -> Result<ClusterStatus, ClusterError> {
        Ok(status::of(self.member()?).await)
    }

    async fn raise_replicas(&self, replicas: u32) -> Result<RaisedReplicas, ClusterError> {
        raise::step(self.member()?, replicas).await
    }

    async fn reload_certificates(&self) -> Result<ReloadedCertificates, ClusterError> {
        reload::reload(self.member()?).await
    }

    fn redundancy(&self) -> Redundancy {
        self.member.get().map_or_else(Redundancy::one_node, |member| member.redundancy())
    }
}
