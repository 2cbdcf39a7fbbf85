//! The bus as a test holds it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bus_client::{Bus, BusConfig};
use busauth::{Handle, Identity};
use control_api::{BusRole, NewUser, UserInfo};
use membershipd::{NodeFlags, ServiceAccess};
use room_protocol::History;
use tempfile::TempDir;

use crate::builder::TestBusBuilder;
use crate::control_client::ControlClient;
use crate::lying_proxy::LyingProxy;
use crate::plain_room::PlainRoom;
use crate::running::{Running, Started};

/// A running bus. Dropping it stops it.
pub struct TestBus {
    running: Option<Running>,
    control: SocketAddr,
    data: SocketAddr,
    service: ServiceAccess,
    admin: Arc<Identity>,
    proxy: Option<LyingProxy>,
    flags: NodeFlags,
    // Last: removed when nothing writes in it any more.
    directory: TempDir,
}

impl TestBus {
    /// Starts a bus with nobody but an admin on it.
    pub async fn start() -> anyhow::Result<Self> {
        Self::builder().start().await
    }

    /// Starts with options.
    pub fn builder() -> TestBusBuilder {
        TestBusBuilder::default()
    }

    pub(crate) fn new(
        started: Started,
        flags: NodeFlags,
        admin: Identity,
        proxy: Option<LyingProxy>,
        directory: TempDir,
    ) -> Self {
        let Started { running, control, data, service } = started;
        Self {
            running: Some(running),
            control,
            data,
            service,
            admin: Arc::new(admin),
            proxy,
            flags,
            directory,
        }
    }

    /// The control plane's URL.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The control plane's address.
    pub fn control_addr(&self) -> SocketAddr {
        self.control
    }

    /// The data plane's URL.
    pub fn nats_url(&self) -> String {
        format!("nats://{}", self.data)
    }

    /// The data plane's address.
    pub fn nats_addr(&self) -> SocketAddr {
        self.data
    }

    /// The first admin, `admin`.
    pub fn admin(&self) -> &Arc<Identity> {
        &self.admin
    }

    /// The data directory: database, admin identity, control socket.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    /// A directory of this test's own that goes with the bus, for instance for the state of clients.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The proxy that was asked for with [`TestBusBuilder::lying_proxy`].
    pub fn proxy(&self) -> anyhow::Result<&LyingProxy> {
        self.proxy.as_ref().context("this bus was started without a lying proxy")
    }

    /// Makes an identity and admits it under this handle.
    pub async fn admit(&self, handle: &str, role: BusRole) -> anyhow::Result<Arc<Identity>> {
        let identity = Arc::new(Identity::generate());
        self.admit_identity(&identity, handle, role).await?;
        Ok(identity)
    }

    /// Admits an identity that exists already.
    pub async fn admit_identity(
        &self,
        identity: &Identity,
        handle: &str,
        role: BusRole,
    ) -> anyhow::Result<UserInfo> {
        let handle: Handle = handle.parse()?;
        let user = NewUser { card: identity.card(None), handle: Some(handle), role };
        Ok(self.control(&self.admin).post("/v1/users", &user).await?)
    }

    /// Revokes a user; it is shut out of both planes when this returns.
    pub async fn revoke(&self, user: &Identity) -> anyhow::Result<()> {
        let path = format!("/v1/users/{}", user.id());
        let _revoked: control_api::Revoked = self.control(&self.admin).delete(&path).await?;
        Ok(())
    }

    /// The SDK, connected as this user, remembering nothing beyond its own life.
    pub async fn client(&self, identity: &Arc<Identity>) -> Result<Bus, bus_client::Error> {
        // Boxed: connecting needs more room than a test's own future should have.
        Box::pin(Bus::connect(self.client_config(identity))).await
    }

    /// What [`TestBus::client`] connects with, to be changed: a state directory, other waiting times, the URL
    /// of a [`LyingProxy`].
    pub fn client_config(&self, identity: &Arc<Identity>) -> BusConfig {
        BusConfig::new(self.control_url(), identity.clone())
    }

    /// Signed requests to the control plane as this user, without the SDK.
    pub fn control(&self, identity: &Arc<Identity>) -> ControlClient {
        ControlClient::new(self.control, identity.clone())
    }

    /// A stock NATS client, logged in as this user, with the user's own inbox.
    pub async fn nats(&self, identity: &Identity) -> anyhow::Result<async_nats::Client> {
        let options = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
            .custom_inbox_prefix(format!("_INBOX_{}", identity.id()));
        Ok(options.connect(self.nats_url()).await?)
    }

    /// A NATS client that may do everything: the data plane as whoever runs the server has it.
    pub async fn service(&self) -> anyhow::Result<async_nats::Client> {
        Ok(self.service.connect().await?)
    }

    /// How such a client logs in, for one in another process.
    pub fn service_access(&self) -> &ServiceAccess {
        &self.service
    }

    /// A room without encryption on this subject, owned by this user.
    pub async fn plain_room(&self, owner: &Arc<Identity>, subject: &str) -> anyhow::Result<PlainRoom> {
        PlainRoom::create(self.control(owner), subject, History::None).await
    }

    /// The same, and what is published there is kept.
    pub async fn plain_room_with_history(
        &self,
        owner: &Arc<Identity>,
        subject: &str,
    ) -> anyhow::Result<PlainRoom> {
        PlainRoom::create(self.control(owner), subject, History::Shared).await
    }

    /// Stops the bus and starts it again with the same data on the same ports.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.restart_after(|_| Ok(())).await
    }

    /// The same; in between, with nothing running, something happens to the data directory.
    pub async fn restart_after(
        &mut self,
        happens: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if let Some(running) = self.running.take() {
            running.stop().await?;
        }
        happens(&self.data_dir())?;
        let started = Running::start(&self.flags).await?;
        self.service = started.service;
        self.running = Some(started.running);
        Ok(())
    }

    /// Stops the bus; an error when something did not end by itself.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop().await;
        }
        match self.running.take() {
            Some(running) => running.stop().await,
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for TestBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestBus")
            .field("control", &self.control)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
