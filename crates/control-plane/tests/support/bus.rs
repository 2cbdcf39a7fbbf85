//! A control plane on a free port over a store in a temporary directory.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use blobstore::{BlobStore as _, FsOptions, FsStore};
use busauth::{AuthMode, Handle, Identity, MemoryNonceStore, NonceLimits};
use control_api::{Limits, Posture};
use control_plane::{
    ControlConfig, ControlPlane, Drained, OwnNames, Parts, Server, ServerConfig, ServerLimits,
};
use http::Method;
use membership_store::{BusRole, MembershipStore, NewUser, SqliteStore};
use serde::Serialize;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Call, ObservedNonces, RecordingPlane, TestRoom, now};

/// What a test wants to be different.
pub(crate) struct Settings {
    pub(crate) mode: AuthMode,
    pub(crate) limits: Limits,
    pub(crate) encryption_required: bool,
    pub(crate) server: ServerLimits,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) nonces: MemoryNonceStore,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: AuthMode::Enforce,
            limits: Limits::default(),
            encryption_required: false,
            server: ServerLimits::default(),
            tls: None,
            nonces: MemoryNonceStore::new(NonceLimits::default()),
        }
    }
}

pub(crate) struct Bus {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Identity,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) files: Arc<FsStore>,
    pub(crate) plane: Arc<RecordingPlane>,
    pub(crate) nonces: Arc<ObservedNonces>,
    pub(crate) control: Arc<ControlPlane>,
    stop: CancellationToken,
    serving: JoinSet<Drained>,
    pub(crate) directory: TempDir,
}

impl Bus {
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path().join("bus.db")).await.unwrap());
        let plane = Arc::new(RecordingPlane::new());
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = ServerConfig { listen, tls: settings.tls, limits: settings.server };
        let server = Server::bind(config).await.unwrap();
        let address = server.local_addr();
        let config = ControlConfig {
            name: "test".to_owned(),
            version: "0.0.0".to_owned(),
            names: OwnNames::new(["bus.example"]),
            mode: settings.mode,
            limits: settings.limits,
            encryption_required: settings.encryption_required,
            control_urls: vec![format!("http://{address}")],
            posture: Posture {
                auth: settings.mode.to_string(),
                acl: true,
                tls: false,
                cluster: false,
                store: "sqlite".to_owned(),
            },
        };
        let nonces = Arc::new(ObservedNonces::new(settings.nonces));
        let files = FsStore::open(directory.path().join("blobs"), FsOptions::default()).await.unwrap();
        let files = Arc::new(files);
        let parts = Parts {
            store: store.clone(),
            nonces: nonces.clone(),
            data_plane: plane.clone(),
            blobs: Some(files.clone()),
        };
        let control = ControlPlane::new(config, parts);
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(server.serve(control.router(), stop.clone(), Duration::from_secs(5)));
        let mut bus = Self {
            address,
            admin: Identity::generate(),
            store,
            files,
            plane,
            nonces,
            control,
            stop,
            serving,
            directory,
        };
        bus.admin = bus.admit("admin", BusRole::Admin).await;
        bus
    }

    /// Puts somebody new on the allowlist.
    pub(crate) async fn admit(&self, handle: &str, role: BusRole) -> Identity {
        let identity = Identity::generate();
        let handle: Handle = handle.parse().unwrap();
        let new = NewUser { card: identity.card(Some(handle.clone())), handle, role, at: now() };
        self.store.add_user(new).await.unwrap();
        identity
    }

    pub(crate) fn get<'a>(&'a self, caller: &'a Identity, path: &str) -> Call<'a> {
        Call::new(self, caller, Method::GET, path, None)
    }

    pub(crate) fn head<'a>(&'a self, caller: &'a Identity, path: &str) -> Call<'a> {
        Call::new(self, caller, Method::HEAD, path, None)
    }

    /// Sends a file into a room.
    pub(crate) fn put_file<'a>(
        &'a self,
        caller: &'a Identity,
        room: &TestRoom,
        content: impl Into<Vec<u8>>,
    ) -> Call<'a> {
        Call::new(self, caller, Method::POST, &room.path("/blobs"), None).file(content)
    }

    /// What uploads have left, once everything has ended.
    pub(crate) fn staged(directory: &TempDir) -> usize {
        std::fs::read_dir(directory.path().join("blobs/.staged")).map_or(0, Iterator::count)
    }

    pub(crate) fn delete<'a>(&'a self, caller: &'a Identity, path: &str) -> Call<'a> {
        Call::new(self, caller, Method::DELETE, path, None)
    }

    pub(crate) fn send<'a>(
        &'a self,
        method: Method,
        caller: &'a Identity,
        path: &str,
        body: &impl Serialize,
    ) -> Call<'a> {
        Call::new(self, caller, method, path, Some(serde_json::to_vec(body).unwrap()))
    }

    pub(crate) fn post<'a>(&'a self, caller: &'a Identity, path: &str, body: &impl Serialize) -> Call<'a> {
        self.send(Method::POST, caller, path, body)
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// How the server ended.
    pub(crate) async fn ended(self) -> Drained {
        self.ended_with_files().await.0
    }

    /// How the server ended, and the directory that it leaves.
    pub(crate) async fn ended_with_files(mut self) -> (Drained, TempDir) {
        let drained = self.serving.join_next().await.unwrap().unwrap();
        self.control.finish().await;
        self.files.close().await;
        (drained, self.directory)
    }
}
