//! A node as a member of its cluster: its lease, its record, the changes of other nodes, and the copies of its data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use busauth::{Authenticator, Principal, UserId};
use cluster::{CertificatesExpire, KickError, Kicker, NodeState, PeerHealth, Reloader, StorageState};
use control_api::{NodeStanding, Posture, Timestamp};
use control_plane::{AccessTable, DataPlaneError, Redundancy};
use membership_store::{Changed, KvStore, MembershipStore as _, NodeName, StoreError};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::NOT_FRESH;
use super::copies;
use super::peers::{Heard, Said, Storage, Users};
use super::raise;
use super::reload;
use super::settle;
use crate::data_plane::JetStreamRooms;
use crate::data_plane::lease::{BEAT, Lease};
use crate::data_plane::logins::{Logins, Loser};
use crate::data_plane::moves::{Moves, UnlessMoving};
use crate::rpc::Gate;

/// How often the record is renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How long one renewal may take before the next is tried.
const RENEWAL: Duration = Duration::from_secs(8);
/// How often the copies are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long a node that stops waits to be heard.
const GOODBYE: Duration = Duration::from_secs(1);
/// How often closing connections is tried again.
const KICKS: usize = 3;
/// A removal waits for a server that restarts.
const BETWEEN_KICKS: Duration = Duration::from_millis(250);
/// How often is tried again what nobody waits for any more.
const REPEAT: Duration = Duration::from_secs(1);

/// What a node needs to know to become a member.
pub(crate) struct Joining {
    pub(crate) name: String,
    pub(crate) store: KvStore,
    pub(crate) moves: Arc<Moves>,
    pub(crate) access: AccessTable,
    pub(crate) staleness_bound: Duration,
    pub(crate) posture: Posture,
    pub(crate) public: bool,
    pub(crate) route_tls: bool,
    pub(crate) control_urls: Vec<String>,
}

/// What it has of its own server.
pub(super) struct Parts {
    pub(super) control: async_nats::Client,
    pub(super) bus: async_nats::Client,
    pub(super) kicker: Kicker,
    pub(super) peers: PeerHealth,
    pub(super) reloader: Reloader,
    pub(super) state: watch::Receiver<NodeState>,
    pub(super) gate: Arc<Gate>,
    pub(super) rooms: Arc<JetStreamRooms>,
    pub(super) data_urls: Vec<String>,
}

/// A member.
pub(super) struct Member {
    pub(super) name: NodeName,
    pub(super) store: KvStore,
    moves: Arc<Moves>,
    pub(super) lease: Arc<Lease>,
    pub(super) heard: Heard,
    pub(super) control: async_nats::Client,
    pub(super) bus: async_nats::Client,
    pub(super) kicker: Kicker,
    pub(super) peers: PeerHealth,
    pub(super) reloader: Reloader,
    /// One reload at a time.
    pub(super) reloading: tokio::sync::Mutex<()>,
    state: watch::Receiver<NodeState>,
    logins: Arc<Logins>,
    gate: Arc<Gate>,
    rooms: Arc<JetStreamRooms>,
    said: Said,
    /// It has said goodbye, and says nothing more.
    leaving: AtomicBool,
    /// One record at a time: none of before is put over the one that says goodbye.
    saying: tokio::sync::Mutex<()>,
    /// One change at a time closes connections, so that whoever has come back is not closed again.
    closing: tokio::sync::Mutex<()>,
    /// Users whose connections could not be brought in line with their rights yet.
    unfinished: Mutex<BTreeSet<UserId>>,
    redundancy: Mutex<Redundancy>,
    /// Of how many rooms fewer nodes kept the messages than are to, when that was looked at last.
    short_rooms: AtomicUsize,
}

impl Member {
    pub(super) fn new(joining: Joining, parts: Parts) -> Result<Self, membership_store::NodeNameError> {
        let lease = Arc::new(Lease::new(joining.staleness_bound));
        let logins = Arc::new(Logins::new(joining.access, Arc::clone(&lease)));
        let said = Said {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            posture: joining.posture,
            public: joining.public,
            route_tls: joining.route_tls,
            applied: 0,
            control_urls: joining.control_urls,
            data_urls: parts.data_urls,
            certificates_expire: None,
            leaving: false,
            users: Users::Possible,
            storage: Storage::Works,
        };
        Ok(Self {
            name: joining.name.parse()?,
            store: joining.store,
            moves: joining.moves,
            lease,
            heard: Heard::default(),
            control: parts.control,
            bus: parts.bus,
            kicker: parts.kicker,
            peers: parts.peers,
            reloader: parts.reloader,
            reloading: tokio::sync::Mutex::default(),
            state: parts.state,
            logins,
            gate: parts.gate,
            rooms: parts.rooms,
            said,
            leaving: AtomicBool::new(false),
            saying: tokio::sync::Mutex::default(),
            closing: tokio::sync::Mutex::default(),
            unfinished: Mutex::default(),
            redundancy: Mutex::new(Redundancy::one_node()),
            short_rooms: AtomicUsize::new(0),
        })
    }

    pub(super) fn logins(&self) -> Arc<dyn Authenticator> {
        Arc::new(UnlessMoving { logins: Arc::clone(&self.logins), moves: Arc::clone(&self.moves) })
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.obstacle().is_none()
    }

    /// Why nobody may be let in, if that is so. Half a bus is none.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        if self.lease.is_held() { self.moves.obstacle() } else { Some(NOT_FRESH) }
    }

    /// How often the bus's own data is kept. A node that is not as it must be does not count.
    pub(super) fn redundancy(&self) -> Redundancy {
        let mut found = self.copies();
        found.ha_reason = found.ha_reason.or_else(|| self.falls_short()).or_else(|| {
            let rooms = self.short_rooms.load(Ordering::Relaxed);
            (rooms > 0).then(|| copies::short_rooms(rooms))
        });
        found
    }

    /// How often the bus's own data was kept when that was looked at last.
    pub(super) fn copies(&self) -> Redundancy {
        self.redundancy.lock().clone()
    }

    /// A node that is there and not as it must be, and why; clients are not sent there.
    pub(super) fn falls_short(&self) -> Option<String> {
        let mut peers = self.heard.peers(&self.store).into_iter();
        let peer = peers.find(|peer| peer.standing(self.silent()) == NodeStanding::FallsShort)?;
        Some(format!("{} does not count: {}", peer.name, peer.falls_short()?))
    }

    /// Where clients find the data plane of other nodes, of those that are as they must be.
    pub(super) fn other_data_urls(&self) -> Vec<String> {
        self.others().into_iter().flat_map(|said| said.data_urls).collect()
    }

    /// The same of the control plane.
    pub(super) fn other_control_urls(&self) -> Vec<String> {
        self.others().into_iter().flat_map(|said| said.control_urls).collect()
    }

    fn others(&self) -> Vec<Said> {
        let peers = self.heard.peers(&self.store).into_iter();
        peers.filter(|peer| peer.name != self.name).filter_map(|peer| peer.serving(self.silent())).collect()
    }

    /// The nodes that are there and as they must be, this one included.
    pub(super) fn serving(&self) -> Vec<String> {
        let peers = self.heard.peers(&self.store).into_iter();
        let serving = peers.filter(|peer| peer.standing(self.silent()) == NodeStanding::Serving);
        serving.map(|peer| peer.name.to_string()).collect()
    }

    /// How each node is, this one included.
    pub(super) fn standings(&self) -> Vec<(NodeName, NodeStanding)> {
        let peers = self.heard.peers(&self.store).into_iter();
        peers.map(|peer| (peer.name.clone(), peer.standing(self.silent()))).collect()
    }

    /// When the certificates of this node's server expire.
    pub(super) fn certificates(&self) -> CertificatesExpire {
        self.state.borrow().certificates
    }

    fn storage(&self) -> Storage {
        match self.state.borrow().storage {
            StorageState::Works => Storage::Works,
            StorageState::Stopped { .. } => Storage::Stopped,
        }
    }

    /// A node that was not heard for so long serves nobody any more.
    pub(super) fn silent(&self) -> Duration {
        self.lease.bound()
    }

    /// Says that this node is there, and renews the lease.
    pub(super) async fn renew(&self) -> Result<(), StoreError> {
        let certificates_expire = self.certificates().first().map(|expires| Timestamp::from(expires).unix());
        let (applied, storage) = (self.store.applied(), self.storage());
        let said = Said { applied, certificates_expire, storage, ..self.said.clone() };
        let _turn = self.saying.lock().await;
        if self.leaving.load(Ordering::Relaxed) {
            return Ok(());
        }
        let confirmed = self.put(&said).await?;
        self.lease.renew(confirmed.since);
        Ok(())
    }

    async fn put(&self, said: &Said) -> Result<membership_store::Confirmed, StoreError> {
        let text = serde_json::to_string(said).map_err(|error| {
            tracing::error!(%error, "what this node says of itself cannot be written as JSON");
            StoreError::Unavailable
        })?;
        self.store.put_node(&self.name, &text).await
    }

    /// Says that this node serves nobody any more. Best effort: others find out.
    pub(super) async fn say_goodbye(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.say_last(Said { applied: self.store.applied(), leaving: true, ..self.said.clone() }).await;
    }

    /// Lets nobody in any more, sends away whoever is left, and says so: the changes of other nodes need not wait for this
    /// one. Where somebody may be left nothing is said, and they wait until nobody can be.
    pub(super) async fn go(&self) {
        self.logins.close();
        if let Err(error) = self.send_everybody_away().await {
            tracing::warn!(%error, "connections were not closed before this node stops: changes wait for it elsewhere");
            return;
        }
        let applied = self.store.applied();
        self.say_last(Said { applied, leaving: true, users: Users::Gone, ..self.said.clone() }).await;
    }

    async fn send_everybody_away(&self) -> Result<(), DataPlaneError> {
        let _turn = self.closing.lock().await;
        for loser in self.logins.everybody() {
            self.close(&loser).await?;
        }
        self.gate.settle().await
    }

    async fn say_last(&self, said: Said) {
        let put = async {
            let _turn = self.saying.lock().await;
            self.put(&said).await
        };
        match tokio::time::timeout(GOODBYE, put).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the other nodes were not told that this one stops"),
            Err(_) => tracing::debug!("the other nodes were not told in time that this one stops"),
        }
    }

    /// Puts into force, on this node, that the rights of these users may have changed. Where that fails it is tried again
    /// until it is done: whoever asked may have been answered that it is pending.
    pub(super) async fn apply(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        let applied = self.apply_once(users).await;
        if applied.is_err() {
            self.unfinished.lock().extend(users);
        }
        applied
    }

    async fn apply_once(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        if users.iter().any(|user| self.logins.has_lost(user).is_some()) {
            let _turn = self.closing.lock().await;
            for user in users {
                // Once more: the change before may have closed them.
                if let Some(loser) = self.logins.has_lost(user) {
                    self.close(&loser).await?;
                }
            }
        }
        self.gate.settle().await
    }

    async fn close(&self, loser: &Loser) -> Result<(), DataPlaneError> {
        let mut tries = 0;
        loop {
            match self.kicker.kick(&Principal::from(loser.user)).await {
                // What connects to the next server is let in with the rights that hold then.
                Ok(_) | Err(KickError::NotRunning) => {
                    self.logins.closed(loser);
                    return Ok(());
                }
                Err(error) if tries == KICKS => return Err(DataPlaneError::Unconfirmed(error.to_string())),
                Err(error) => tracing::warn!(%error, user = %loser.user, "connections were not closed yet"),
            }
            tries += 1;
            tokio::time::sleep(BETWEEN_KICKS).await;
        }
    }

    pub(super) async fn upkeep(self: Arc<Self>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&self).keep_lease(stop.clone()));
        tasks.spawn(Arc::clone(&self).watch_lease(stop.clone()));
        tasks.spawn(Arc::clone(&self).follow(stop.clone()));
        tasks.spawn(Arc::clone(&self).repeat(stop.clone()));
        tasks.spawn(Arc::clone(&self).watch_moves(stop.clone()));
        tasks.spawn(Arc::clone(&self).look_at_copies(stop.clone()));
        tasks.spawn(Arc::clone(&self).warn_of_expiry(stop.clone()));
        tasks.spawn(settle::answer(Arc::clone(&self), stop));
        tasks.close();
        tasks.wait().await;
    }

    async fn keep_lease(self: Arc<Self>, stop: CancellationToken) {
        let mut was_lost = false;
        loop {
            let pause = if was_lost { RENEW / 4 } else { RENEW };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            // Not after goodbye.
            if self.leaving.load(Ordering::Relaxed) {
                return;
            }
            let renewed = tokio::time::timeout(RENEWAL, self.renew());
            let Some(renewed) = stop.run_until_cancelled(renewed).await else { return };
            match renewed {
                Ok(Ok(())) if was_lost => tracing::info!("this node knows again how things are"),
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "this node was not heard by the cluster"),
                Err(_) => tracing::warn!("this node was not heard by the cluster in time"),
            }
            was_lost = !self.lease.is_held();
        }
    }

    /// Shows that the process runs; closes everybody's connections when the lease is over.
    async fn watch_lease(self: Arc<Self>, stop: CancellationToken) {
        let mut was_over = false;
        while stop.run_until_cancelled(tokio::time::sleep(BEAT)).await.is_some() {
            if self.lease.beat() {
                tracing::warn!(
                    "this process did not run for a while: nobody is let in until it has caught up"
                );
            }
            self.heard.look(&self.store);
            let is_over = self.lease.is_over();
            if is_over && !was_over {
                tracing::error!(
                    "this node does not reach the cluster any more: nobody is let in, and its users are disconnected"
                );
            }
            if is_over {
                self.close_everybody().await;
            }
            was_over = is_over;
        }
    }

    /// Those who are left: nobody, when it has succeeded before.
    async fn close_everybody(&self) {
        let _turn = self.closing.lock().await;
        for loser in self.logins.everybody() {
            if self.lease.is_held() {
                return;
            }
            if let Err(error) = self.close(&loser).await {
                tracing::warn!(%error, user = %loser.user, "connections were not closed");
            }
        }
    }

    async fn repeat(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(REPEAT)).await.is_some() {
            let users: Vec<UserId> = std::mem::take(&mut *self.unfinished.lock()).into_iter().collect();
            if users.is_empty() {
                continue;
            }
            match self.apply(&users).await {
                Ok(()) => tracing::info!(users = users.len(), "a change is in force on this node now"),
                Err(error) => tracing::warn!(%error, "a change is not in force on this node yet"),
            }
        }
    }

    /// Puts into force what other nodes change. They ask for it as well, and wait; this is for all that nobody waits for.
    async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.store.changes();
        while let Some(change) = stop.run_until_cancelled(changes.recv()).await {
            let users = match change {
                Ok((_, Changed::User(user))) => vec![user],
                Ok((_, Changed::Room(room, users))) => {
                    let members = self.store.view().members(&room);
                    users.into_iter().chain(members.iter().map(|(member, _)| member.id)).collect()
                }
                Err(RecvError::Lagged(_)) => self.logins.users(),
                Err(RecvError::Closed) => return,
            };
            if let Err(error) = self.apply(&users).await {
                tracing::warn!(%error, "a change is not in force on this node");
            }
        }
    }

    /// Lets nobody in while a bus is being moved into the cluster, and goes on with it afterwards.
    async fn watch_moves(self: Arc<Self>, stop: CancellationToken) {
        let watching = async {
            loop {
                let ended = self.moves.next_ended().await;
                // It is on its way in any case; here nobody comes back before.
                if let Err(error) = self.apply(&self.logins.users()).await {
                    tracing::warn!(%error, "what was moved in is not in force on this node for all who are connected");
                }
                self.moves.let_in(ended);
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Looks how often the bus's own data is kept; rooms are kept as often from now on.
    pub(super) async fn look_again(&self) {
        let found = copies::look(&self.control).await;
        // While nobody answers, nothing is known.
        if found.replicas > 0 {
            self.rooms.set_copies(found.replicas as usize);
        }
        *self.redundancy.lock() = found;
    }

    async fn warn_of_expiry(self: Arc<Self>, stop: CancellationToken) {
        reload::warn(&self, stop).await;
    }

    /// Rooms are looked at whenever nodes have come back, or one was made while one was missing, until all have their copies.
    async fn look_at_copies(self: Arc<Self>, stop: CancellationToken) {
        let looking = async {
            let (mut serving, mut is_due) = (0, true);
            loop {
                self.look_again().await;
                let before = std::mem::replace(&mut serving, self.serving().len());
                is_due |= serving > before || self.rooms.take_made_short();
                if is_due {
                    is_due = self.raise_rooms().await;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    /// Answers whether there may be something left to do.
    async fn raise_rooms(&self) -> bool {
        let copies = self.copies().replicas as usize;
        match raise::rooms(self, copies).await {
            Ok(short) => {
                self.short_rooms.store(short, Ordering::Relaxed);
                short > 0
            }
            Err(error) => {
                tracing::debug!(%error, "it is not known of which rooms too few nodes keep the messages");
                true
            }
        }
    }
}
