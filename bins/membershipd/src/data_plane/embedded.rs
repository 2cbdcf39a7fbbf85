//! The embedded broker as data plane: it runs in this process, and the control plane reaches it through a
//! listener of its own that only an identity made at start may use.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busauth::{Authenticator, Identity, Principal, Subject, UserId};
use bytes::Bytes;
use control_api::{ComponentState, DataPlaneHealth, GrantsApply};
use control_plane::{DataPlane, DataPlaneError, RoomStreams};
use embedded_broker::{
    Admission, Authentication, BindError, Broker, BrokerConfig, Internal, JetStream, JetStreamConfig,
    JetStreamError, Limits, ReplyPolicy, Shutdown, SyncPolicy, TlsMode,
};
use zeroize::Zeroizing;

use super::late_authenticator::LateAuthenticator;
use super::room_streams::{Acknowledge, JetStreamRooms};
use super::streams_health::streams_health;

use crate::config::{Config, StreamSync, Streams};
use crate::own_names::OwnNames;
use crate::rpc::Gate;
use crate::tls::{NodeTls, NodeTlsError, ShownCertificate};

/// How long the connection to the broker in this very process may take.
const SERVICE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The broker, and the connection that events are published on.
pub(crate) struct EmbeddedPlane {
    broker: Broker,
    authenticator: Arc<LateAuthenticator>,
    service: async_nats::Client,
    rooms: Arc<JetStreamRooms>,
    gate: Arc<Gate>,
    access: ServiceAccess,
    client_urls: Vec<String>,
    tls: Option<ShownCertificate>,
}

/// How the process itself reaches its data plane: an identity that was made at start, is on no allowlist,
/// and may do everything.
#[derive(Clone)]
pub struct ServiceAccess {
    url: String,
    seed: Arc<Zeroizing<String>>,
}

/// Why the data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedPlaneError {
    /// Its port is taken, or the address is not this machine's.
    #[error("the data plane cannot listen: {0}; set --nats-port or --bind")]
    Bind(BindError),
    /// The streams on disk.
    #[error("{0}; --nats-store names the directory")]
    Streams(JetStreamError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] NodeTlsError),
    /// The process cannot reach its own broker.
    #[error("the control plane cannot reach the data plane in its own process: {0}")]
    Service(String),
}

impl From<BindError> for EmbeddedPlaneError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::JetStream(error) => Self::Streams(error),
            other => Self::Bind(other),
        }
    }
}

impl ServiceAccess {
    /// Where it connects: a port of this machine that takes nobody else.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The seed of the key that it logs in with, good as long as the process runs.
    pub fn login_seed(&self) -> &str {
        &self.seed
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<async_nats::Client, EmbeddedPlaneError> {
        async_nats::ConnectOptions::with_nkey(self.seed.as_str().to_owned())
            .name("membershipd")
            .connection_timeout(SERVICE_CONNECT_TIMEOUT)
            .connect(&self.url)
            .await
            .map_err(|error| EmbeddedPlaneError::Service(error.to_string()))
    }
}

/// What one client may take of the broker's memory. Far more than anybody needs: a client listens with a few
/// subscriptions for each room that it has open, and a room's subject has eight tokens at most.
fn limits() -> Limits {
    Limits { max_subscriptions: Some(10_000), max_subscription_tokens: Some(32), ..Limits::default() }
}

/// Where the broker keeps streams, and when it acknowledges.
pub(crate) fn jetstream_config(streams: &Streams) -> JetStreamConfig {
    let sync = match streams.sync {
        StreamSync::Always => SyncPolicy::Always,
        StreamSync::Every(interval) => SyncPolicy::Every(interval),
    };
    JetStreamConfig { sync, ..JetStreamConfig::in_directory(&streams.directory) }
}

impl EmbeddedPlane {
    /// Binds the ports. Clients are let in by [`EmbeddedPlane::open`] and refused until
    /// [`EmbeddedPlane::authenticate_with`]; only the process itself is connected before.
    pub(crate) async fn bind(
        config: &Config,
        tls: Option<&NodeTls>,
        own_names: &OwnNames,
    ) -> Result<Self, EmbeddedPlaneError> {
        let service = Identity::generate();
        let authenticator = Arc::new(LateAuthenticator::default());
        let tls_mode = match tls {
            Some(tls) => TlsMode::AfterInfo(tls.for_nats()?),
            None => TlsMode::Off,
        };
        let broker = Broker::bind(BrokerConfig {
            listen: (config.exposure.address(), config.nats_port).into(),
            tls: tls_mode,
            authentication: Authentication::By(authenticator.clone()),
            internal: Internal::Listener { nkey: service.login_key() },
            jetstream: JetStream::On(jetstream_config(&config.streams)),
            admission: Admission::WhenOpened,
            reply_policy: ReplyPolicy::Checked,
            limits: limits(),
            server_name: Some(config.server_name.to_string()),
            ..BrokerConfig::default()
        })
        .await?;
        let url = broker
            .internal_url()
            .ok_or_else(|| EmbeddedPlaneError::Service("it has no internal listener".to_owned()))?;
        let access = ServiceAccess { url, seed: Arc::new(service.login_seed()) };
        let service = access.connect().await?;
        // The broker checks reply subjects: an acknowledgement goes only where its publisher could send it.
        let rooms = Arc::new(JetStreamRooms::new(service.clone(), Acknowledge::Publishers));
        let gate = Arc::new(Gate::new(access.connect().await?));
        let client_urls = own_names.data_urls(broker.local_addr());
        Ok(Self {
            broker,
            authenticator,
            service,
            rooms,
            gate,
            access,
            client_urls,
            tls: tls.map(NodeTls::watch),
        })
    }

    /// Says who knows the users, once that is known.
    pub(crate) fn authenticate_with(&self, users: Arc<dyn Authenticator>) {
        self.authenticator.set(users);
    }

    /// Lets clients in.
    pub(crate) fn open(&self) {
        self.broker.open();
    }

    /// Where clients of this machine connect.
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// How the process itself connects.
    pub(crate) fn service_access(&self) -> ServiceAccess {
        self.access.clone()
    }

    /// The streams of rooms.
    pub(crate) fn rooms(&self) -> Arc<JetStreamRooms> {
        Arc::clone(&self.rooms)
    }

    /// What answers to requests are sent through.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Hands events and answers that are waiting to the broker.
    pub(crate) async fn flush_events(&self) {
        self.gate.flush().await;
        if let Err(error) = self.service.flush().await {
            tracing::debug!(%error, "the last events may not have been published");
        }
    }

    /// Closes every connection once what waits for it is written.
    pub(crate) async fn shutdown(&self, deadline: Duration) -> Shutdown {
        self.broker.shutdown(deadline).await
    }
}

#[async_trait]
impl DataPlane for EmbeddedPlane {
    fn rooms(&self) -> &dyn RoomStreams {
        &*self.rooms
    }

    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        let principals: Vec<Principal> = users.iter().copied().map(Principal::from).collect();
        self.broker.access_changed(&principals).await;
        // What the bus itself sends to an inbox is not under these rights, and looks at the view instead.
        self.gate.settle().await
    }

    async fn access_granted(&self, users: &[UserId]) {
        if let Err(error) = self.access_changed(users).await {
            tracing::warn!(%error, "new rights may not be in force yet");
        }
    }

    async fn publish_event(&self, subject: &Subject, payload: Bytes) {
        if let Err(error) = self.service.publish(subject.as_str().to_owned(), payload).await {
            tracing::warn!(%error, %subject, "an event was not published");
        }
    }

    fn client_urls(&self) -> Vec<String> {
        self.client_urls.clone()
    }

    fn grants_apply(&self) -> GrantsApply {
        GrantsApply::Live
    }

    fn tls(&self) -> bool {
        self.tls.is_some()
    }

    fn health(&self) -> DataPlaneHealth {
        let connected = self.service.connection_state() == async_nats::connection::State::Connected;
        let streams = self.broker.jetstream_health().map(streams_health);
        let warning = self.tls.as_ref().and_then(ShownCertificate::warning);
        let state = match (connected, &warning) {
            (true, None) => ComponentState::Ok,
            (true, Some(_)) => ComponentState::Degraded,
            (false, _) => ComponentState::Down,
        };
        DataPlaneHealth {
            state: streams.as_ref().map_or(state, |streams| state.max(streams.state)),
            kind: "embedded".to_owned(),
            // Less the two of this process itself.
            connections: (self.broker.stats().connections as u64).saturating_sub(2 * u64::from(connected)),
            streams,
            detail: if connected {
                warning
            } else {
                Some("the broker in this process does not answer".to_owned())
            },
        }
    }
}
