//! A control plane that lies: it stands between an SDK and a real bus and changes what the bus answers.
//!
//! Requests pass unchanged, `Host` included, so their signatures stay valid; the bus has to know the
//! proxy's address as one of its own names, which [`TestBusBuilder::lying_proxy`](crate::TestBusBuilder)
//! takes care of. Only answers are touched: what a hostile server can do, and what a client must notice.

mod lie;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use lie::{Answer, Asked, Lie};

/// Larger than any body the control plane sends or takes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// A running proxy. It tells the truth until [`LyingProxy::tell`] is called.
#[derive(Debug)]
pub struct LyingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shared {
    upstream: RwLock<Option<SocketAddr>>,
    lie: RwLock<Option<Lie>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl LyingProxy {
    /// Listens on a free port of 127.0.0.1. Requests are answered with 502 until [`LyingProxy::forward_to`].
    pub async fn bind() -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the proxy cannot listen")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { upstream: RwLock::new(None), lie: RwLock::new(None) });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, shared.clone(), stop.clone(), tasks.clone()));
        tasks.close();
        Ok(Self { address, shared, stop, tasks })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The control plane URL to give to an SDK that is to be lied to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Passes requests on to this control plane.
    pub fn forward_to(&self, control: SocketAddr) {
        *self.shared.upstream.write() = Some(control);
    }

    /// From now on, answers go through `lie`.
    pub fn tell(&self, lie: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) {
        *self.shared.lie.write() = Some(Arc::new(lie));
    }

    /// From now on, the truth again.
    pub fn tell_the_truth(&self) {
        *self.shared.lie.write() = None;
    }

    /// Stops listening and drops every connection.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for LyingProxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let (shared, stop) = (shared.clone(), stop.clone());
        tasks.spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(request, &shared).await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away in the middle is no concern of a test double.
            stop.run_until_cancelled(connection).await.transpose().ok();
        });
    }
}

async fn answer(request: hyper::Request<Incoming>, shared: &Shared) -> hyper::Response<Full<Bytes>> {
    match pass_on(request, shared).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = hyper::Response::new(Full::from(format!("{error:#}")));
            *response.status_mut() = hyper::StatusCode::BAD_GATEWAY;
            response
        }
    }
}

async fn pass_on(
    request: hyper::Request<Incoming>,
    shared: &Shared,
) -> anyhow::Result<hyper::Response<Full<Bytes>>> {
    let upstream = shared.upstream.read().context("the proxy forwards to nothing yet")?;
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let asked = Asked::new(parts.method.clone(), parts.uri.clone(), body.clone());

    let stream = TcpStream::connect(upstream).await.context("the bus is not there")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(hyper::Request::from_parts(parts, Full::new(body))).await?;
        drop(sender);
        let (parts, body) = response.into_parts();
        anyhow::Ok(Answer::new(parts.status, parts.headers, read(body).await?))
    };
    let (answer, _) = tokio::join!(exchange, connection);
    let answer = answer?;

    let lie = shared.lie.read().clone();
    let told = match lie {
        Some(lie) => lie(&asked, answer),
        None => answer,
    };
    Ok(told.into_response())
}

async fn read(body: Incoming) -> anyhow::Result<Bytes> {
    let collected = Limited::new(body, MAX_BODY).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    Ok(collected.to_bytes())
}
