//! The listener: accepts, bounds and serves connections, and drains them at the end.
//!
//! A connection costs a place under the ceiling and nothing else until it has proven to speak HTTP: TLS
//! handshakes and first requests happen in the connection's own task and have a time limit. Every task is
//! joined before [`Server::serve`] returns.

mod connection;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use connection::{Connection, Settings};

/// How long to pause after the operating system refused a connection (no file descriptors left): an error
/// that would otherwise be repeated in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and how to listen.
#[derive(Clone)]
pub struct ServerConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS, or plaintext. Application protocols (`h2`, `http/1.1`) are those of the configuration; without
    /// TLS only HTTP/1.1 is spoken.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Bounds of connections.
    pub limits: ServerLimits,
}

/// What one connection, and all of them together, may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections at once; more wait in the operating system's queue.
    pub connections: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for request line and headers, the first ones included.
    pub header_read: Duration,
    /// Time a connection may stay open without a request.
    pub idle: Duration,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that ended in time.
    pub clean: usize,
    /// Connections that were cut off.
    pub aborted: usize,
}

/// A bound listener that serves nobody yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: ServerConfig,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let limits = control_api::Limits::default();
        Self {
            connections: usize::try_from(limits.connections).unwrap_or(usize::MAX),
            handshake: Duration::from_secs(limits.header_read_seconds),
            header_read: Duration::from_secs(limits.header_read_seconds),
            idle: Duration::from_secs(75),
        }
    }
}

impl Server {
    /// Takes the address. Connections queue up until [`Server::serve`].
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, config })
    }

    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled, then takes no more connections and lets requests under way finish
    /// for at most `drain`.
    pub async fn serve(self, router: Router, stop: CancellationToken, drain: Duration) -> Drained {
        let Self { listener, config, .. } = self;
        let places = Arc::new(Semaphore::new(config.limits.connections.min(Semaphore::MAX_PERMITS)));
        let settings = Arc::new(Settings {
            tls: config.tls.map(TlsAcceptor::from),
            limits: config.limits,
            router,
            stop: stop.clone(),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => log_panic(ended),
                (stream, remote, place) = accept(&listener, &places) => {
                    let connection = Connection { stream, remote, settings: settings.clone() };
                    connections.spawn(async move {
                        connection.serve().await;
                        drop(place);
                    });
                }
            }
        }
        drop(listener);
        finish(connections, drain).await
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, remote)) => return (stream, remote, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn finish(mut connections: JoinSet<()>, drain: Duration) -> Drained {
    let deadline = Instant::now() + drain;
    let mut drained = Drained { clean: 0, aborted: 0 };
    while let Ok(Some(ended)) = timeout_at(deadline, connections.join_next()).await {
        drained.clean += 1;
        log_panic(ended);
    }
    drained.aborted = connections.len();
    connections.shutdown().await;
    drained
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended in a panic");
    }
}
