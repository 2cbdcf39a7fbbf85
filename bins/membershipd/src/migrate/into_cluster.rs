//! A node of a cluster that is started for nothing but to move a bus into it: its server lets nobody in but the service
//! identities.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use membership_store::{KvOpenError, KvOptions, KvStore, MembershipStore as _};

use super::announcement::Announcement;
use crate::config::{ClusterSettings, Config, Plane};
use crate::data_plane::{ClusteredPlane, ClusteredPlaneError};
use crate::guards::{DataDirectory, DataDirectoryError};
use crate::own_names::OwnNames;
use crate::store_note::{StoreNote, StoreNoteError};
use crate::tls::{NodeTls, NodeTlsError};

/// How soon JetStream is looked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long it is waited for as many nodes as copies are wanted.
const ENOUGH_NODES: Duration = Duration::from_secs(3);

/// A node's server, and the directories that are its own meanwhile.
pub(crate) struct MovingNode {
    plane: ClusteredPlane,
    announcement: Announcement,
    // Last: the lock is let go of when everything else is gone.
    _directory: Option<DataDirectory>,
}

/// Why a node cannot take a bus in.
#[derive(Debug, thiserror::Error)]
pub enum MovingNodeError {
    /// The settings are not those of a node.
    #[error("the settings are not those of a node of a cluster: set --cluster-name")]
    NoNode,
    /// Its data directory, or that of its streams.
    #[error(transparent)]
    Directory(#[from] DataDirectoryError),
    /// What says what is kept there.
    #[error(transparent)]
    Note(#[from] StoreNoteError),
    /// Another bus is there.
    #[error("{} is the data directory of another bus, and not of this node: name the node's own with --db; --from names the bus that is moved", .0.display())]
    OtherBus(std::path::PathBuf),
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] NodeTlsError),
    /// Its server.
    #[error(transparent)]
    Node(#[from] ClusteredPlaneError),
    /// The store of the cluster.
    #[error("the store of the cluster cannot be opened: {0}")]
    Store(#[from] KvOpenError),
    /// The other nodes cannot be told.
    #[error("other nodes cannot be told that a bus is being moved in: {0}")]
    Unheard(String),
}

impl MovingNode {
    /// Whether a bus can be moved to this node, from the directory of `source` or from elsewhere. Makes nothing.
    pub(crate) fn check(config: &Config, is_source: bool) -> Result<(), MovingNodeError> {
        let paths = &config.paths;
        if !is_source {
            let is_of_node = matches!(StoreNote::read(&paths.store_note())?, None | Some(StoreNote::Cluster));
            if !is_of_node || paths.db().exists() {
                return Err(MovingNodeError::OtherBus(paths.directory().to_owned()));
            }
        }
        Ok(DataDirectory::check_streams(&config.streams.directory, &config.plane)?)
    }

    /// Starts its server. The bus is in the node's own data directory, which is locked already, where `is_source`.
    pub(crate) async fn start(config: &Config, is_source: bool) -> Result<Self, MovingNodeError> {
        let Plane::Clustered(settings) = &config.plane else { return Err(MovingNodeError::NoNode) };
        let directory = if is_source { None } else { Some(DataDirectory::claim(&config.paths)?) };
        DataDirectory::check_further(&config.streams.directory)?;
        let own_names = OwnNames::of(config);
        let own_pair = match config.exposure.tls() {
            Some(source) => NodeTls::open(source, &config.paths, &own_names)?.own_pair(),
            None => None,
        };
        let plane = Box::pin(ClusteredPlane::start(settings, own_pair, &own_names)).await?;
        match Announcement::make(plane.control_client()).await {
            Ok(announcement) => Ok(Self { plane, announcement, _directory: directory }),
            Err(reason) => {
                plane.leave().await;
                Err(MovingNodeError::Unheard(reason))
            }
        }
    }

    /// Waits until there is a majority of nodes, however long that takes, and says why it waits.
    pub(crate) async fn majority(&self) {
        let prefix = KvOptions::default().prefix;
        let answered = async {
            while let Err(error) = KvStore::exists(&self.control(), &prefix).await {
                tracing::debug!(%error, "JetStream does not answer yet");
                tokio::time::sleep(AGAIN).await;
            }
        };
        self.plane.waiting(answered).await;
    }

    /// Makes the buckets unless they are there; answers how many copies there are of what is made now: as many as the
    /// settings want, or one, to be raised later, where fewer nodes are there.
    pub(crate) async fn copies(&self, settings: &ClusterSettings) -> Result<usize, MovingNodeError> {
        let mut replicas = settings.node.replicas.get();
        loop {
            let options = KvOptions { replicas, open_timeout: ENOUGH_NODES, ..KvOptions::default() };
            match KvStore::open(self.control(), options).await {
                Ok(store) => {
                    store.close().await;
                    // What was there before has as many as it has.
                    return Ok(self.plane.learn_copies().await);
                }
                Err(KvOpenError::TooFewServers(_)) if replicas > 1 => replicas = 1,
                Err(KvOpenError::Unreachable(reason)) => {
                    tracing::debug!(reason, "waiting for the store of the cluster");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The account of the bus's own data.
    pub(crate) fn control(&self) -> Context {
        jetstream::new(self.plane.control_client())
    }

    /// The account in which rooms are.
    pub(crate) fn bus(&self) -> Context {
        jetstream::new(self.plane.bus_client())
    }

    /// Stops the server in good order.
    pub(crate) async fn stop(self) {
        self.announcement.withdraw().await;
        self.plane.leave().await;
    }
}
