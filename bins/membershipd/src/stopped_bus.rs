//! The bus while no daemon runs: its store, opened under its lock, behind the same API.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::{ComponentState, DataPlaneHealth};
use control_plane::{
    ControlPlane, DataPlane, DataPlaneError, FoundStream, MadeConsumer, RoomConsumer, RoomStream, RoomStreams,
};
use membership_store::{MembershipStore, ViewLimits};
use room_protocol::RoomId;

use crate::config::{StoreKind, StreamSync, Streams};
use crate::first_start::{self, FirstStartError};
use crate::guards::DataDirectory;
use crate::node_control;
use crate::own_streams::{OwnStreams, OwnStreamsError};
use crate::store_note::{StoreNote, StoreNoteError};
use crate::stores::{Stores, StoresError};

/// The opened store and the API on top of it.
pub(crate) struct StoppedBus {
    control: Arc<ControlPlane>,
    store: Arc<dyn MembershipStore>,
    /// What keeps the store, where that is the data plane.
    streams: Option<OwnStreams>,
    // Holds the lock as long as the store is open.
    _directory: DataDirectory,
}

/// Why the store of a stopped bus cannot be administered.
#[derive(Debug, thiserror::Error)]
pub enum StoppedBusError {
    /// The store.
    #[error(transparent)]
    Open(#[from] StoresError),
    /// The streams that the store is kept in.
    #[error(transparent)]
    Streams(#[from] OwnStreamsError),
    /// What says which store it is.
    #[error(transparent)]
    Note(#[from] StoreNoteError),
    /// The store is not here alone.
    #[error("users and rooms are kept by {0}: start the daemon first, then this goes through it")]
    StartFirst(&'static str),
    /// Nobody would be sent away there.
    #[error(
        "rights are enforced at a NATS that somebody else runs: start the daemon first, then this goes through it"
    )]
    External,
    /// Users are missing that have been there.
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
}

impl StoppedBus {
    /// Opens the store in a directory that is locked for this process.
    pub(crate) async fn open(directory: DataDirectory) -> Result<Self, StoppedBusError> {
        let paths = directory.paths();
        let (stores, kind, streams) = match StoreNote::read(&paths.store_note())? {
            Some(StoreNote::External | StoreNote::ExternalKv) => return Err(StoppedBusError::External),
            Some(StoreNote::Cluster) => return Err(StoppedBusError::StartFirst("the nodes of a cluster")),
            Some(StoreNote::Kv { streams }) => {
                let streams = Streams { directory: streams, sync: StreamSync::Always };
                let streams = OwnStreams::open(&streams).await?;
                (Stores::kv(streams.client(), 1, ViewLimits::default()).await?, StoreKind::Kv, Some(streams))
            }
            None if paths.store() == StoreKind::Kv => {
                return Err(StoppedBusError::StartFirst("the data plane, which has not run here yet"));
            }
            Some(StoreNote::Sqlite) | None => {
                let stores = Stores::sqlite(paths.db(), ViewLimits::default()).await?;
                (stores, StoreKind::Sqlite, None)
            }
        };
        let store = stores.store();
        first_start::check_nothing_lost(store.as_ref(), paths).await?;
        let control = node_control::offline(store.clone(), kind, Arc::new(NobodyConnected));
        Ok(Self { control, store, streams, _directory: directory })
    }

    /// The administration, as the daemon's control socket has it.
    pub(crate) fn router(&self) -> Router {
        self.control.local_router()
    }

    /// Finishes what is under way and lets go of the store.
    pub(crate) async fn close(self) {
        self.control.finish().await;
        self.store.close().await;
        if let Some(streams) = self.streams {
            streams.close().await;
        }
    }
}

/// While no daemon runs nobody is connected: there is nobody to tell, and nobody to shut out.
struct NobodyConnected;

/// Streams are brought in line with their rooms at the next start.
#[async_trait]
impl RoomStreams for NobodyConnected {
    async fn streams(&self) -> Result<Vec<FoundStream>, DataPlaneError> {
        Ok(Vec::new())
    }

    async fn keep_stream(&self, _stream: &RoomStream) -> Result<(), DataPlaneError> {
        Ok(())
    }

    async fn drop_stream(&self, _room: &RoomId) -> Result<(), DataPlaneError> {
        Ok(())
    }

    async fn consumers(&self, _room: &RoomId) -> Result<Vec<RoomConsumer>, DataPlaneError> {
        Err(not_running())
    }

    async fn make_consumer(
        &self,
        _room: &RoomId,
        _name: &str,
        _made: &MadeConsumer,
    ) -> Result<RoomConsumer, DataPlaneError> {
        Err(not_running())
    }

    async fn drop_consumer(&self, _room: &RoomId, _name: &str) -> Result<bool, DataPlaneError> {
        Err(not_running())
    }
}

fn not_running() -> DataPlaneError {
    DataPlaneError::Unconfirmed("the daemon does not run".to_owned())
}

#[async_trait]
impl DataPlane for NobodyConnected {
    fn rooms(&self) -> &dyn RoomStreams {
        self
    }

    async fn access_changed(&self, _users: &[UserId]) -> Result<(), DataPlaneError> {
        Ok(())
    }

    async fn access_granted(&self, _users: &[UserId]) {}

    async fn publish_event(&self, _subject: &Subject, _payload: Bytes) {}

    fn client_urls(&self) -> Vec<String> {
        Vec::new()
    }

    fn tls(&self) -> bool {
        false
    }

    fn health(&self) -> DataPlaneHealth {
        DataPlaneHealth {
            state: ComponentState::Down,
            kind: "embedded".to_owned(),
            connections: 0,
            streams: None,
            detail: Some("the daemon does not run".to_owned()),
        }
    }
}
