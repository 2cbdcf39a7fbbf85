//! The doors: accept, give each connection its place and its own task, and see it through its handshake.
//!
//! Nothing but `accept` happens in an accept loop; TLS and login run in the connection's task, each under its own
//! time-out.

mod handshake;
mod internal;
mod websocket;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{Authentication, OriginPolicy, TlsMode, WebSocketTls, broker::Shared};

pub(crate) use internal::InternalLogin;

/// Pause after an accept that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Clients over the limit that are told so at the same time; more are closed without a word.
const MAX_REFUSALS: usize = 64;

/// One listener: where it is, and what it asks of those who come through it.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) authentication: Authentication,
    /// The door for the host process; see [`Internal`](crate::Internal).
    pub(crate) internal: bool,
    /// Connections that may come through at once. The host's door has its own, so that clients cannot shut it out.
    pub(crate) places: Arc<Semaphore>,
}

/// What carries the protocol between a client and this door.
pub(crate) enum Transport {
    Tcp(TlsMode),
    WebSocket { tls: WebSocketTls, origins: OriginPolicy },
}

impl Door {
    /// Whether a client has to log in before anything else.
    pub(crate) fn login_required(&self) -> bool {
        matches!(self.authentication, Authentication::By(_))
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        match &self.transport {
            Transport::Tcp(tls) => !matches!(tls, TlsMode::Off),
            Transport::WebSocket { tls, .. } => matches!(tls, WebSocketTls::On(_)),
        }
    }

    /// Whether clients come in WebSocket frames.
    pub(crate) fn is_websocket(&self) -> bool {
        matches!(self.transport, Transport::WebSocket { .. })
    }
}

/// Accepts until cancelled.
pub(crate) async fn accept_loop(
    shared: Arc<Shared>,
    door: Arc<Door>,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&door.places).try_acquire_owned() {
            let connection = handshake::serve(Arc::clone(&shared), Arc::clone(&door), stream, remote, place);
            spawn(&shared, connection);
            continue;
        }
        shared.registry.count_refused();
        if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            spawn(&shared, handshake::refuse(Arc::clone(&shared), Arc::clone(&door), stream, remote, permit));
        }
    }
}

/// Runs a connection's future in a task of its own, which ends when the broker aborts what is left.
fn spawn(shared: &Arc<Shared>, connection: impl Future<Output = ()> + Send + 'static) {
    let abort = shared.abort.clone();
    shared.tasks.spawn(async move {
        // Cancelled or done: either way the connection is over.
        let _finished = abort.run_until_cancelled_owned(connection).await;
    });
}
