//! How the commands of this program reach the bus they administer: through the daemon's control socket
//! while it runs, otherwise by opening the store under its lock. Either way it is the same HTTP API.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use control_api::Problem;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tower::ServiceExt;

use crate::config::DataPaths;
use crate::guards::{DataDirectory, DataDirectoryError};
use crate::stopped_bus::{StoppedBus, StoppedBusError};

/// How long the daemon may take: longer than it gives itself.
const PATIENCE: Duration = control_plane::LOCAL_LIMIT.saturating_add(Duration::from_secs(5));
/// The longest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The administration of one bus.
pub(crate) enum LocalApi {
    /// The daemon runs and listens here.
    Daemon(PathBuf),
    /// It does not; its store is ours until this value is closed.
    Stopped(Box<StoppedBus>),
}

/// What a command wants from a bus that may not be there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make its store.
    Create,
    /// Say that it is missing.
    Refuse,
}

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalApiError {
    /// There is no bus at that place.
    #[error("there is no bus at {}: give --db (or --config) as the daemon has it", .0.display())]
    NoBus(PathBuf),
    /// Somebody holds the lock and nobody answers.
    #[error("{0} (it does not answer on its control socket either: is it starting or stopping? try again)")]
    Busy(DataDirectoryError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(DataDirectoryError),
    /// The store cannot be opened.
    #[error(transparent)]
    Stopped(#[from] StoppedBusError),
    /// The connection to the daemon broke.
    #[error("the daemon's control socket {} failed: {source}", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It takes connections and does not answer.
    #[error("the daemon does not answer within {} seconds: look at its log, or start it again", PATIENCE.as_secs())]
    Silent,
    /// The answer is not what this program understands.
    #[error("the daemon's answer cannot be understood ({0}): is it another version than this program?")]
    Answer(String),
    /// The bus said no.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
}

impl LocalApi {
    /// Finds the daemon, or opens its store.
    pub(crate) async fn open(paths: &DataPaths, missing: Missing) -> Result<Self, LocalApiError> {
        if let Some(socket) = paths.control_socket() {
            match UnixStream::connect(&socket).await {
                Ok(_) => return Ok(Self::Daemon(socket)),
                Err(error) if nobody_listens(&error) => {}
                Err(source) => return Err(LocalApiError::Socket { path: socket, source }),
            }
        }
        let nothing = !paths.db().exists() && !paths.store_note().exists();
        if missing == Missing::Refuse && nothing {
            return Err(LocalApiError::NoBus(paths.db().to_owned()));
        }
        let directory = DataDirectory::claim(paths).map_err(|error| match error {
            error @ DataDirectoryError::InUse { .. } => LocalApiError::Busy(error),
            error => LocalApiError::Directory(error),
        })?;
        Ok(Self::Stopped(Box::new(StoppedBus::open(directory).await?)))
    }

    /// Sends a request without a body and reads its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> Result<T, LocalApiError> {
        self.call(request(method, path).body(Full::default())).await
    }

    /// Sends a request with a JSON body and reads its answer.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, LocalApiError> {
        let body = serde_json::to_vec(body).map_err(|error| LocalApiError::Answer(error.to_string()))?;
        let request = request(method, path).header(header::CONTENT_TYPE, "application/json");
        self.call(request.body(Full::from(body))).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<T, LocalApiError> {
        let request = request.map_err(|error| LocalApiError::Answer(error.to_string()))?;
        let (status, answer) = match self {
            Self::Daemon(socket) => tokio::time::timeout(PATIENCE, over_socket(socket, request))
                .await
                .map_err(|_| LocalApiError::Silent)??,
            Self::Stopped(bus) => in_process(bus.router(), request).await?,
        };
        if status.is_success() {
            serde_json::from_slice(&answer).map_err(|error| LocalApiError::Answer(error.to_string()))
        } else {
            match serde_json::from_slice(&answer) {
                Ok(problem) => Err(LocalApiError::Refused(Box::new(problem))),
                Err(_) => Err(LocalApiError::Answer(format!("status {status}"))),
            }
        }
    }

    /// Lets go of the store, if it was opened here.
    pub(crate) async fn close(self) {
        if let Self::Stopped(bus) = self {
            bus.close().await;
        }
    }
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "localhost")
}

async fn over_socket(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), LocalApiError> {
    let failed = |source| LocalApiError::Socket { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(failed)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(io::Error::other(error)))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| failed(io::Error::other(error)))?;
        // Without its sender the connection ends once the answer is read.
        drop(sender);
        read(response).await
    };
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

async fn in_process(
    router: Router,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), LocalApiError> {
    let Ok(response) = router.oneshot(request.map(Body::new)).await;
    read(response).await
}

async fn read<B>(response: Response<B>) -> Result<(StatusCode, Bytes), LocalApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|error| LocalApiError::Answer(error.to_string()))?;
    Ok((status, body.to_bytes()))
}
