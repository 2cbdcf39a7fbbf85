//! Users, rooms and nonces, in whichever store the settings ask for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use busauth::{MemoryNonceStore, NonceLimits, NonceStore};
use membership_store::{
    KvNonceOptions, KvNonceStore, KvOpenError, KvOptions, KvStore, MembershipStore, OpenError, SqliteStore,
};

use crate::config::{Config, Plane, StoreKind};
use crate::data_plane::{EmbeddedPlaneError, RunningPlane};
use crate::first_start::{Beginning, unix_now};
use crate::store_note::{StoreNote, StoreNoteError};

/// How soon the store of a cluster is looked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// An open store.
#[derive(Clone)]
pub(crate) enum Stores {
    /// In a database; nonces are in memory.
    Sqlite(Arc<SqliteStore>),
    /// In buckets of the data plane, nonces too.
    Kv(KvStore, Arc<KvNonceStore>),
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
}

impl Stores {
    /// Opens the store. In a cluster this waits for as many other nodes as it takes.
    pub(crate) async fn open(config: &Config, plane: &RunningPlane) -> Result<Self, StoresError> {
        let (stores, note) = match plane {
            RunningPlane::Embedded(plane) if config.plane.store() == StoreKind::Kv => {
                let client = plane.service_access().connect().await?;
                let stores = Box::pin(Self::kv(client, 1)).await?;
                (stores, StoreNote::Kv { streams: config.streams.directory.clone() })
            }
            RunningPlane::Embedded(_) => (Self::sqlite(config.paths.db()).await?, StoreNote::Sqlite),
            RunningPlane::Clustered(plane) => {
                let replicas = match &config.plane {
                    Plane::Clustered(settings) => settings.node.replicas.get(),
                    Plane::Embedded(_) | Plane::External(_) => 1,
                };
                let opening = Self::of_cluster(plane.control_client(), replicas);
                let stores = plane.waiting(Box::pin(opening)).await?;
                (stores, StoreNote::Cluster)
            }
            RunningPlane::External(plane) => {
                let stores = match config.plane.store() {
                    StoreKind::Kv => Box::pin(Self::kv(plane.control_client(), plane.replicas())).await?,
                    StoreKind::Sqlite => Self::sqlite(config.paths.db()).await?,
                };
                (stores, StoreNote::External)
            }
        };
        note.write(&config.paths.store_note())?;
        Ok(stores)
    }

    /// The database.
    pub(crate) async fn sqlite(db: &Path) -> Result<Self, StoresError> {
        Ok(Self::Sqlite(Arc::new(SqliteStore::open(db).await?)))
    }

    /// Buckets, made with so many copies where they do not exist. Without the bucket of nonces there is no store: a
    /// replayed request could be accepted by another node.
    pub(crate) async fn kv(client: async_nats::Client, replicas: usize) -> Result<Self, StoresError> {
        let context = jetstream::new(client);
        let store = KvStore::open(context.clone(), KvOptions { replicas, ..KvOptions::default() }).await?;
        let options = KvNonceOptions { replicas, ..KvNonceOptions::default() };
        KvNonceStore::create_bucket(&context, &options).await?;
        let nonces = KvNonceStore::open(context, options).await?;
        Ok(Self::Kv(store, Arc::new(nonces)))
    }

    /// The same in a cluster: without a majority nothing can be made or read, so this waits for one, however long it
    /// takes. Where there are fewer nodes than copies are wanted, one node begins, and the copies are made later.
    async fn of_cluster(client: async_nats::Client, wanted: usize) -> Result<Self, StoresError> {
        let mut replicas = wanted;
        loop {
            match Box::pin(Self::kv(client.clone(), replicas)).await {
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
                opened => return opened,
            }
        }
    }

    /// Users, rooms and logs.
    pub(crate) fn store(&self) -> Arc<dyn MembershipStore> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Kv(store, _) => Arc::new(store.clone()),
        }
    }

    /// Nonces of requests that were accepted.
    pub(crate) fn nonces(&self, beginning: &Beginning) -> Arc<dyn NonceStore> {
        let limits = NonceLimits::default();
        match (self, beginning) {
            (Self::Kv(_, nonces), _) => nonces.clone(),
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
