//! Users, rooms and nonces, in whichever store the settings ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use busauth::{MemoryNonceStore, NonceLimits, NonceStore};
use membership_store::{
    KvNonceOptions, KvNonceStore, KvOpenError, KvOptions, KvStore, MembershipStore, OpenError, SqliteOptions,
    SqliteStore, ViewLimits,
};

use crate::config::{Config, DataPaths, Plane, StoreKind};
use crate::data_plane::{EmbeddedPlaneError, JetStreamRooms, Moves, RunningPlane};
use crate::first_start::{Beginning, unix_now};
use crate::migrate::announcement::is_somebody_moving;
use crate::store_note::{StoreNote, StoreNoteError};

/// How soon the store of a cluster is looked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// How soon it is looked again whether a bus is still being moved in.
const MOVING: Duration = Duration::from_secs(1);
/// A store that is not there is not made at once: whoever moves a bus in may have come with the last node.
const BEFORE_THE_FIRST: Duration = Duration::from_secs(1);

/// An open store.
#[derive(Clone)]
pub(crate) enum Stores {
    /// In a database; nonces are in memory.
    Sqlite(Arc<SqliteStore>),
    /// In buckets of the data plane, nonces too.
    Kv(KvStores),
}

/// What is in buckets.
#[derive(Clone)]
pub(crate) struct KvStores {
    pub(crate) store: KvStore,
    nonces: Arc<KvNonceStore>,
    /// How many buses had been moved in when it was opened.
    ended_moves: u64,
}

/// Why there is no store to work with.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// The database.
    #[error(transparent)]
    Sqlite(#[from] OpenError),
    /// The buckets.
    #[error("users and rooms are kept in the data plane's streams, and cannot be opened: {0}")]
    Kv(#[from] KvOpenError),
    /// The way to the buckets.
    #[error(transparent)]
    Service(#[from] EmbeddedPlaneError),
    /// What says which store it is.
    #[error(transparent)]
    Note(#[from] StoreNoteError),
    /// Half of a bus is there.
    #[error(
        "a bus is being moved into this store, or a move was begun and is not finished: run membershipd migrate-to-kv \
         again as it was run, it goes on where it was"
    )]
    Moving,
    /// The database is not what the bus works on any more.
    #[error(
        "users and rooms of this bus were moved out of {}, and what is there is old: start with {}. To go back to how it \
         was when it was moved, and lose what came since, remove {}", .db.display(), .with, .note.display()
    )]
    LeftBehind {
        /// The database.
        db: PathBuf,
        /// How the daemon is started now.
        with: &'static str,
        /// What says so.
        note: PathBuf,
    },
}

/// Refuses a database that a bus was moved out of.
fn refuse_left_behind(paths: &DataPaths) -> Result<(), StoresError> {
    let note = paths.store_note();
    let with = match StoreNote::read(&note)? {
        Some(StoreNote::Kv { .. }) => "--store kv",
        Some(StoreNote::Cluster) => "--cluster-name and the other settings of the node",
        Some(StoreNote::ExternalKv) => "--nats-url and the other settings of that NATS",
        Some(StoreNote::Sqlite | StoreNote::External) | None => return Ok(()),
    };
    // Without one nothing is mistaken for the bus: that its users are missing is noticed.
    if !paths.db().exists() {
        return Ok(());
    }
    Err(StoresError::LeftBehind { db: paths.db().to_owned(), with, note })
}

/// Waits as long as somebody is moving a bus into the cluster. Where there is no store yet it is looked twice.
async fn begin_after_moves(control: &async_nats::Client) {
    let (context, prefix) = (jetstream::new(control.clone()), KvOptions::default().prefix);
    let mut has_waited = false;
    loop {
        match KvStore::exists(&context, &prefix).await {
            Err(error) => {
                tracing::debug!(%error, "the store of the cluster is not there yet");
                tokio::time::sleep(AGAIN).await;
            }
            Ok(_) if is_somebody_moving(control).await => {
                tracing::info!("a bus is being moved into this cluster: this node waits for the end of that");
                tokio::time::sleep(MOVING).await;
            }
            Ok(false) if !has_waited => {
                has_waited = true;
                tokio::time::sleep(BEFORE_THE_FIRST).await;
            }
            Ok(_) => return,
        }
    }
}

impl Stores {
    /// Opens the store. In a cluster this waits for as many other nodes as it takes.
    pub(crate) async fn open(config: &Config, plane: &RunningPlane) -> Result<Self, StoresError> {
        let limits = ViewLimits { durable_rooms: config.max_durable_rooms.get(), ..ViewLimits::default() };
        let (stores, note) = match plane {
            RunningPlane::Embedded(plane) if config.plane.store() == StoreKind::Kv => {
                let client = plane.service_access().connect().await?;
                let stores = Box::pin(Self::kv(client, 1, limits)).await?;
                (stores, StoreNote::Kv { streams: config.streams.directory.clone() })
            }
            RunningPlane::Embedded(_) => {
                refuse_left_behind(&config.paths)?;
                (Self::sqlite(config.paths.db(), limits).await?, StoreNote::Sqlite)
            }
            RunningPlane::Clustered(plane) => {
                let replicas = match &config.plane {
                    Plane::Clustered(settings) => settings.node.replicas.get(),
                    Plane::Embedded(_) | Plane::External(_) => 1,
                };
                let opening = Self::of_cluster(plane.control_client(), replicas, limits);
                let stores = plane.waiting(Box::pin(opening)).await?;
                (stores, StoreNote::Cluster)
            }
            RunningPlane::External(plane) if config.plane.store() == StoreKind::Kv => {
                let stores = Box::pin(Self::kv(plane.control_client(), plane.replicas(), limits)).await?;
                (stores, StoreNote::ExternalKv)
            }
            RunningPlane::External(_) => {
                refuse_left_behind(&config.paths)?;
                (Self::sqlite(config.paths.db(), limits).await?, StoreNote::External)
            }
        };
        note.write(&config.paths.store_note())?;
        Ok(stores)
    }

    /// The database.
    pub(crate) async fn sqlite(db: &Path, limits: ViewLimits) -> Result<Self, StoresError> {
        let options = SqliteOptions { limits, ..SqliteOptions::default() };
        Ok(Self::Sqlite(Arc::new(SqliteStore::open_with(db, options).await?)))
    }

    /// Buckets, made with so many copies where they do not exist. Without the bucket of nonces there is no store: a
    /// replayed request could be accepted by another node.
    pub(crate) async fn kv(
        client: async_nats::Client,
        replicas: usize,
        limits: ViewLimits,
    ) -> Result<Self, StoresError> {
        let context = jetstream::new(client);
        let options = KvOptions { replicas, limits, ..KvOptions::default() };
        let store = KvStore::open(context.clone(), options).await?;
        // First: of a move that begins and ends from here on everything has to be found out again.
        let ended_moves = store.ended_moves();
        if store.is_moving() {
            store.close().await;
            return Err(StoresError::Moving);
        }
        let options = KvNonceOptions { replicas, ..KvNonceOptions::default() };
        KvNonceStore::create_bucket(&context, &options).await?;
        let nonces = KvNonceStore::open(context, options).await?;
        Ok(Self::Kv(KvStores { store, nonces: Arc::new(nonces), ended_moves }))
    }

    /// The same in a cluster: without a majority nothing can be made or read, so this waits for one, however long it
    /// takes. Where there are fewer nodes than copies are wanted, one node begins, and the copies are made later.
    async fn of_cluster(
        client: async_nats::Client,
        wanted: usize,
        limits: ViewLimits,
    ) -> Result<Self, StoresError> {
        let mut replicas = wanted;
        begin_after_moves(&client).await;
        loop {
            match Box::pin(Self::kv(client.clone(), replicas, limits)).await {
                Err(StoresError::Kv(KvOpenError::TooFewServers(_))) if replicas > 1 => {
                    tracing::warn!(
                        wanted,
                        "there are not enough nodes yet: users and rooms are kept by one, until membershipd \
                         cluster raise-replicas"
                    );
                    replicas = 1;
                }
                // A server that has just come to the others does not know all of their streams yet.
                Err(StoresError::Kv(error @ (KvOpenError::Unreachable(_) | KvOpenError::NoBucket(_)))) => {
                    tracing::info!(%error, "the store of the cluster is not there yet");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error @ StoresError::Moving) => {
                    tracing::warn!(%error, "this node waits for the end of the move");
                    tokio::time::sleep(MOVING).await;
                    begin_after_moves(&client).await;
                }
                opened => return opened,
            }
        }
    }

    /// Users, rooms and logs.
    pub(crate) fn store(&self) -> Arc<dyn MembershipStore> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Kv(kv) => Arc::new(kv.store.clone()),
        }
    }

    /// Nonces of requests that were accepted.
    pub(crate) fn nonces(&self, beginning: &Beginning) -> Arc<dyn NonceStore> {
        let limits = NonceLimits::default();
        match (self, beginning) {
            (Self::Kv(kv), _) => kv.nonces.clone(),
            // What was signed before this start may have been seen by the process before.
            (Self::Sqlite(_), Beginning::HasUsers) => {
                Arc::new(MemoryNonceStore::after_restart(limits, unix_now()))
            }
            (Self::Sqlite(_), Beginning::AdminMade(_) | Beginning::AwaitsAdmin) => {
                Arc::new(MemoryNonceStore::new(limits))
            }
        }
    }
}

impl KvStores {
    /// The moves into this store, for whoever lets users in.
    pub(crate) fn moves(&self, rooms: Arc<JetStreamRooms>) -> Arc<Moves> {
        Arc::new(Moves::new(self.store.clone(), self.nonces.clone(), rooms, self.ended_moves))
    }
}
