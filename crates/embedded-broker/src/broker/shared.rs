//! What the tasks of one broker share.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use busauth::{Acl, Permissions};
use nkeys::KeyPair;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    BrokerConfig, ConnectionInfo, JetStream, JetStreamError, Limits, ReplyPolicy, Stats,
    jetstream::{Clients, Engine},
    listener::Door,
    protocol::ServerInfo,
    registry::Registry,
    routing::Index,
    session::{CloseReason, Connection},
};

/// The nats-server release whose client features this broker has. Clients switch features by it.
pub(crate) const COMPATIBLE_VERSION: &str = "2.15.1";

/// nats-server's account for everybody when no accounts are configured.
const ACCOUNT: &str = "$G";

/// What the tasks of one broker share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) reply_policy: ReplyPolicy,
    pub(crate) index: Arc<Index>,
    /// Streams, where there are any.
    pub(crate) jetstream: Option<Arc<Engine>>,
    pub(crate) registry: Registry,
    /// Rights of a connection that has not logged in, or was thrown out.
    pub(crate) no_rights: Arc<Acl>,
    all_rights: Arc<Acl>,
    /// When the broker was bound.
    pub(crate) started: SystemTime,
    server_id: String,
    server_name: String,
    advertise: Vec<String>,
    lame_duck: AtomicBool,
    stopping: AtomicBool,
    pub(crate) tasks: TaskTracker,
    /// Ends every task of a connection at its next await.
    pub(crate) abort: CancellationToken,
}

impl Shared {
    /// Starts JetStream too, which blocks on the disk.
    pub(crate) fn new(config: &BrokerConfig) -> Result<Self, JetStreamError> {
        let server_id = KeyPair::new_server().public_key();
        let server_name = config.server_name.clone().unwrap_or_else(|| server_id.clone());
        let index = Arc::new(Index::new());
        let jetstream = match &config.jetstream {
            JetStream::Off => None,
            JetStream::On(jetstream) => Some(Engine::start(
                jetstream,
                Arc::clone(&index),
                &server_name,
                Clients { authentication: config.authentication.clone(), reply_policy: config.reply_policy },
            )?),
        };
        Ok(Self {
            limits: config.limits.clone(),
            reply_policy: config.reply_policy,
            index,
            jetstream,
            registry: Registry::new(),
            no_rights: Arc::new(Acl::compile(&Permissions::default())),
            all_rights: Arc::new(Acl::allow_all()),
            started: SystemTime::now(),
            server_name,
            server_id,
            advertise: config.advertise.clone(),
            lame_duck: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
        })
    }

    /// A connection with its number, its nonce, and the rights it has before it logs in.
    pub(crate) fn new_connection(&self, door: &Arc<Door>, remote: SocketAddr) -> Connection {
        let rights = if door.login_required() { &self.no_rights } else { &self.all_rights };
        let id = self.registry.next_id();
        Connection::new(id, remote, Arc::clone(door), nonce(), &self.limits, Arc::clone(rights))
    }

    /// The INFO that greets a client.
    pub(crate) fn first_info(&self, connection: &Connection) -> Vec<u8> {
        self.info(connection).encode()
    }

    /// The INFO that follows the first PONG.
    pub(crate) fn connected_info(&self, connection: &Connection) -> Vec<u8> {
        ServerInfo { connect_info: true, remote_account: Some(ACCOUNT), ..self.info(connection) }.encode()
    }

    /// The INFO for a client that is refused right away.
    pub(crate) fn refusal_info(&self, door: &Door, remote: SocketAddr) -> Vec<u8> {
        self.info_for(door, remote, 0, None).encode()
    }

    /// Tells a client that this server is about to stop, if it understands that.
    pub(super) fn tell_lame_duck(&self, connection: &Connection) {
        if connection.client.load().async_info {
            connection.outbound.send(&self.info(connection).encode());
        }
    }

    fn info(&self, connection: &Connection) -> ServerInfo {
        let nonce = connection.door.login_required().then(|| connection.nonce.clone());
        self.info_for(&connection.door, connection.remote, connection.id, nonce)
    }

    fn info_for(&self, door: &Door, remote: SocketAddr, client_id: u64, nonce: Option<String>) -> ServerInfo {
        ServerInfo {
            server_id: self.server_id.clone(),
            server_name: self.server_name.clone(),
            version: COMPATIBLE_VERSION,
            proto: 1,
            go: "rust",
            host: door.address.ip().to_string(),
            port: door.address.port(),
            headers: true,
            jetstream: self.jetstream.is_some(),
            auth_required: door.login_required(),
            tls_required: door.is_encrypted(),
            max_payload: self.limits.max_payload,
            client_id,
            client_ip: remote.ip().to_string(),
            nonce,
            // They are for TCP, and for clients.
            connect_urls: if door.internal || door.is_websocket() {
                Vec::new()
            } else {
                self.advertise.clone()
            },
            lame_duck: self.lame_duck.load(SeqCst),
            connect_info: false,
            remote_account: None,
        }
    }

    /// Waits until nothing is on its way any more that JetStream delivers under rights that were replaced.
    pub(crate) fn settle_deliveries(&self) {
        if let Some(jetstream) = &self.jetstream {
            jetstream.access_changed();
        }
    }

    /// Closes a connection after what waits for it is written.
    pub(crate) fn close(&self, connection: &Connection, reason: CloseReason) {
        if reason == CloseReason::AuthorizationViolation || reason == CloseReason::AuthenticationTimeout {
            self.registry.count_login_failure();
        }
        connection.outbound.finish(reason);
    }

    /// Answers whether it was not on before.
    pub(super) fn begin_lame_duck(&self) -> bool {
        !self.lame_duck.swap(true, SeqCst)
    }

    pub(super) fn begin_stop(&self) {
        self.stopping.store(true, SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    pub(crate) fn is_lame_duck(&self) -> bool {
        self.lame_duck.load(SeqCst)
    }

    pub(crate) fn server_id(&self) -> &str {
        &self.server_id
    }

    pub(crate) fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The connections at this moment, in the order they were accepted.
    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let mut connections: Vec<_> =
            self.registry.all().iter().map(|connection| ConnectionInfo::of(connection)).collect();
        connections.sort_unstable_by_key(|connection| connection.id);
        connections
    }

    pub(crate) fn stats(&self) -> Stats {
        let counts = self.registry.counts();
        Stats {
            connections: counts.connections,
            total_connections: counts.total_connections,
            refused_connections: counts.refused_connections,
            login_failures: self.registry.login_failures(),
            slow_consumers: counts.slow_consumers,
            subscriptions: self.index.len(),
            received_messages: counts.received.messages,
            received_bytes: counts.received.bytes,
            sent_messages: counts.sent.messages,
            sent_bytes: counts.sent.bytes,
            jetstream: self.jetstream.as_ref().map(|jetstream| jetstream.stats()),
        }
    }
}

/// What one client signs with its nkey: 11 random bytes, 15 characters, as nats-server makes them.
fn nonce() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 11]>())
}
