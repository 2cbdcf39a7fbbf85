//! The local control socket: the administration of this bus for whoever owns its files.
//!
//! It lies in the data directory (mode 0700), has mode 0600, and each connection's user id is checked, so
//! requests on it need no signature.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections served at once; others wait in the socket's own queue.
const MAX_CONNECTIONS: usize = 16;
/// A client that has not sent its request by then is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The bound socket. Its file goes when the value does.
#[derive(Debug)]
pub(crate) struct LocalControl {
    listener: UnixListener,
    path: PathBuf,
}

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the local control socket {} cannot be made: {source}", .path.display())]
pub struct LocalControlError {
    path: PathBuf,
    source: io::Error,
}

impl LocalControl {
    /// Binds the socket. The caller holds the lock of the data directory, so a file of that name is what a
    /// killed process left behind.
    pub(crate) fn bind(path: PathBuf) -> Result<Self, LocalControlError> {
        let bound = remove_stale(&path).and_then(|()| UnixListener::bind(&path)).and_then(|listener| {
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map(|()| listener)
        });
        match bound {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(LocalControlError { path, source }),
        }
    }

    /// Serves `router` until stopped, then lets the requests in hand finish.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Some(Ok(place)) = stop.run_until_cancelled(places.clone().acquire_owned()).await {
            let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await else { break };
            match accepted {
                Ok((stream, _)) if is_owner(&stream) => {
                    let serving = serve_connection(stream, router.clone(), stop.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Ok(_) => tracing::warn!("another user of this machine tried the local control socket"),
                Err(error) => {
                    tracing::warn!(%error, "the local control socket cannot accept");
                    // Such as too many open files: trying again at once would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

impl Drop for LocalControl {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the local control socket was already gone");
        }
    }
}

fn remove_stale(path: &PathBuf) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The daemon's own user, and root, who could read its files and memory anyway.
fn is_owner(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

async fn serve_connection(stream: UnixStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a local control connection ended early");
    }
}
