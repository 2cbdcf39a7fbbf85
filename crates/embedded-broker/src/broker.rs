//! A running broker: bind, use, stop.

mod shared;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use busauth::Principal;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    Admission, Authentication, BrokerConfig, ConnectionInfo, DisconnectReason, Internal, JetStreamError,
    JetStreamHealth, Monitoring, Stats, TlsMode, WebSocket, access,
    listener::{Door, InternalLogin, Transport, accept_loop},
    monitoring::{self, Monitor},
    session::CloseReason,
};

pub(crate) use shared::{COMPATIBLE_VERSION, Shared};

/// How long tasks that were told to stop at once may take to be gone.
const ABORT: Duration = Duration::from_secs(2);

/// Connections of the host process at once.
const INTERNAL_CONNECTIONS: usize = 64;

/// A NATS server in this process.
///
/// It serves from [`Broker::bind`] until [`Broker::shutdown`]. Dropping it without a shutdown ends everything
/// abruptly.
pub struct Broker {
    shared: Arc<Shared>,
    clients: Arc<Door>,
    websocket: Option<Arc<Door>>,
    internal: Option<Arc<Door>>,
    monitoring: Option<SocketAddr>,
    /// Ends the accept loops for clients, and the one for the host.
    stop_clients: CancellationToken,
    stop_internal: CancellationToken,
    /// Set once clients may come in.
    open: CancellationToken,
}

/// Why a broker could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be listened on: mostly because something else does.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The limits contradict each other.
    #[error("limits: {0}")]
    Limits(&'static str),
    /// JetStream cannot work.
    #[error(transparent)]
    JetStream(#[from] JetStreamError),
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Connections that were closed after everything for them was written.
    pub clean: usize,
    /// Connections that were cut off at the deadline.
    pub aborted: usize,
}

impl Broker {
    /// Binds the listeners and begins to serve. Must be called within a tokio runtime, which it then runs on.
    pub async fn bind(config: BrokerConfig) -> Result<Self, BindError> {
        check(&config)?;
        let listener = listen(config.listen).await?;
        let address = local(&listener, config.listen)?;
        let clients = Arc::new(Door {
            address,
            transport: Transport::Tcp(config.tls.clone()),
            authentication: config.authentication.clone(),
            internal: false,
            places: Arc::new(Semaphore::new(config.limits.max_connections)),
        });
        let websocket = match &config.websocket {
            WebSocket::Off => None,
            WebSocket::Listen { address, tls, origins } => {
                let listener = listen(*address).await?;
                let door = Door {
                    address: local(&listener, *address)?,
                    transport: Transport::WebSocket { tls: tls.clone(), origins: origins.clone() },
                    authentication: config.authentication.clone(),
                    internal: false,
                    places: Arc::clone(&clients.places),
                };
                Some((Arc::new(door), listener))
            }
        };
        let internal = match &config.internal {
            Internal::None => None,
            Internal::Listener { nkey } => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let listener = listen(address).await?;
                let door = Door {
                    address: local(&listener, address)?,
                    transport: Transport::Tcp(TlsMode::Off),
                    authentication: Authentication::By(Arc::new(InternalLogin::new(*nkey))),
                    internal: true,
                    places: Arc::new(Semaphore::new(INTERNAL_CONNECTIONS)),
                };
                Some((Arc::new(door), listener))
            }
        };
        let monitoring = match config.monitoring {
            Monitoring::Off => None,
            Monitoring::Loopback { port } => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let listener = listen(address).await?;
                Some((local(&listener, address)?, listener))
            }
        };
        let broker = Self {
            shared: Arc::new(start(&config).await?),
            clients: Arc::clone(&clients),
            websocket: websocket.as_ref().map(|(door, _)| Arc::clone(door)),
            internal: internal.as_ref().map(|(door, _)| Arc::clone(door)),
            monitoring: monitoring.as_ref().map(|(address, _)| *address),
            stop_clients: CancellationToken::new(),
            stop_internal: CancellationToken::new(),
            open: CancellationToken::new(),
        };
        if let Some((door, listener)) = internal {
            broker.serve(door, listener, broker.stop_internal.clone());
        }
        if let Some((address, listener)) = monitoring {
            broker.serve_monitoring(address, listener);
        }
        broker.serve_when_open(clients, listener);
        if let Some((door, listener)) = websocket {
            broker.serve_when_open(door, listener);
        }
        if config.admission == Admission::AtOnce {
            broker.open();
        }
        Ok(broker)
    }

    /// Lets clients in, under [`Admission::WhenOpened`]. Again does nothing.
    pub fn open(&self) {
        self.open.cancel();
    }

    /// Address of the client listener, with its real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.clients.address
    }

    /// Where a client on this machine connects: `nats://…`, or `tls://…` with TLS.
    pub fn client_url(&self) -> String {
        let scheme = if self.clients.is_encrypted() { "tls" } else { "nats" };
        format!("{scheme}://{}", reachable(self.clients.address))
    }

    /// Address of the WebSocket listener, if there is one, with its real port.
    pub fn websocket_addr(&self) -> Option<SocketAddr> {
        self.websocket.as_ref().map(|door| door.address)
    }

    /// Where a browser on this machine connects, if there is a listener for it: `ws://…`, or `wss://…` with TLS.
    pub fn websocket_url(&self) -> Option<String> {
        let door = self.websocket.as_ref()?;
        let scheme = if door.is_encrypted() { "wss" } else { "ws" };
        Some(format!("{scheme}://{}", reachable(door.address)))
    }

    /// Where the host process connects, if there is a listener for it.
    pub fn internal_url(&self) -> Option<String> {
        self.internal.as_ref().map(|door| format!("nats://{}", door.address))
    }

    /// Address of the monitoring port, if there is one.
    pub fn monitoring_addr(&self) -> Option<SocketAddr> {
        self.monitoring
    }

    /// Puts the current rights of these principals in force on their open connections.
    ///
    /// The authenticator must already answer with the new rights. When this returns, nothing is accepted from these
    /// principals, or appended for them, under old rights; subscriptions they lost are gone and answered with a
    /// permissions violation. A principal without rights is disconnected and what waited for it is thrown away. The
    /// cost depends on these principals' connections only.
    #[expect(clippy::unused_async, reason = "the caller must not depend on how it is done")]
    pub async fn access_changed(&self, principals: &[Principal]) {
        for principal in principals {
            access::change(&self.shared, principal);
        }
    }

    /// Ends all connections of a principal at once; answers how many there were. Nothing is accepted from them any
    /// more when this returns. Whether it may come back is the authenticator's decision.
    #[expect(clippy::unused_async, reason = "the caller must not depend on how it is done")]
    pub async fn disconnect(&self, principal: &Principal, reason: DisconnectReason) -> usize {
        let connections = self.shared.registry.of(principal);
        for connection in &connections {
            access::disconnect(&self.shared, connection, reason.into());
        }
        self.shared.settle_deliveries();
        connections.len()
    }

    /// The connections at this moment, in the order they were accepted.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.shared.connections()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// How JetStream is, where it is on.
    pub fn jetstream_health(&self) -> Option<JetStreamHealth> {
        self.shared.jetstream.as_ref().map(|jetstream| jetstream.health())
    }

    /// Lame duck: accepts nobody any more and tells the clients that this server is about to stop, so that those
    /// who know another one move. Connections go on, and so does the internal listener.
    pub fn lame_duck(&self) {
        self.stop_clients.cancel();
        if !self.shared.begin_lame_duck() {
            return;
        }
        for connection in self.shared.registry.all() {
            self.shared.tell_lame_duck(&connection);
        }
    }

    /// Stops: lame duck, then every connection is closed once what waits for it is written. What is not done at the
    /// deadline is cut off. When this returns, no task of the broker is left.
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        self.lame_duck();
        self.stop_internal.cancel();
        self.shared.begin_stop();
        let connections = self.shared.registry.all();
        for connection in &connections {
            self.shared.close(connection, CloseReason::Shutdown);
        }
        self.shared.tasks.close();
        let mut aborted = 0;
        if tokio::time::timeout(deadline, self.shared.tasks.wait()).await.is_err() {
            aborted = self.shared.registry.all().len();
            self.shared.abort.cancel();
            // Every task ends at its next await; only one that never awaits could be left.
            if tokio::time::timeout(ABORT, self.shared.tasks.wait()).await.is_err() {
                tracing::error!(tasks = self.shared.tasks.len(), "tasks are left after shutdown");
            }
        }
        if let Some(jetstream) = self.shared.jetstream.clone() {
            jetstream.stop();
            // The last group is on disk when this returns, however long that takes: it was acknowledged, or will be asked
            // for again.
            drop(tokio::task::spawn_blocking(move || jetstream.join()).await);
        }
        Shutdown { clean: connections.len().saturating_sub(aborted), aborted }
    }

    fn serve_monitoring(&self, address: SocketAddr, listener: TcpListener) {
        let monitor = Monitor {
            shared: Arc::clone(&self.shared),
            clients: Arc::clone(&self.clients),
            websocket: self.websocket.clone(),
            open: self.open.clone(),
            port: address.port(),
        };
        let serve = monitoring::serve(Arc::new(monitor), listener, self.stop_internal.clone());
        self.shared.tasks.spawn(serve);
    }

    fn serve(&self, door: Arc<Door>, listener: TcpListener, stop: CancellationToken) {
        self.shared.tasks.spawn(accept_loop(Arc::clone(&self.shared), door, listener, stop));
    }

    fn serve_when_open(&self, door: Arc<Door>, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let (open, stop) = (self.open.clone(), self.stop_clients.clone());
        self.shared.tasks.spawn(async move {
            if stop.run_until_cancelled(open.cancelled()).await.is_some() {
                accept_loop(shared, door, listener, stop).await;
            }
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop_clients.cancel();
        self.stop_internal.cancel();
        self.shared.abort.cancel();
        if let Some(jetstream) = &self.shared.jetstream {
            jetstream.stop();
        }
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("address", &self.clients.address).finish_non_exhaustive()
    }
}

/// Opening a store blocks on the disk.
async fn start(config: &BrokerConfig) -> Result<Shared, BindError> {
    let config = config.clone();
    let start = tokio::task::spawn_blocking(move || Shared::new(&config));
    match start.await {
        Ok(shared) => Ok(shared?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn check(config: &BrokerConfig) -> Result<(), BindError> {
    let limits = &config.limits;
    if limits.max_payload > limits.max_pending {
        return Err(BindError::Limits(
            "max_payload is larger than max_pending: no message of that size could be delivered",
        ));
    }
    if limits.max_control_line == 0 {
        return Err(BindError::Limits("max_control_line cannot be 0"));
    }
    if !(1..=Semaphore::MAX_PERMITS).contains(&limits.max_connections) {
        return Err(BindError::Limits("max_connections cannot be 0, nor more than a system has"));
    }
    if limits.ping_interval.is_zero() {
        return Err(BindError::Limits("ping_interval cannot be 0"));
    }
    Ok(())
}

/// The address under which a listener on all addresses is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError::Listen { address, source })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, BindError> {
    listener.local_addr().map_err(|source| BindError::Listen { address, source })
}
