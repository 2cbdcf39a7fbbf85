//! The floor: hyper, a key in a header, one signature verified.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Result;
use busauth::{LoginKey, Signature};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Who asks, what was signed, and the signature.
pub(crate) const KEY: &str = "x-key";
pub(crate) const MESSAGE: &str = "x-message";
pub(crate) const SIGNATURE: &str = "x-signature";

/// A running server.
pub(crate) struct Bare {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Bare {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let bare = Self {
            address: listener.local_addr()?,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        bare.tasks.spawn(accept(listener, bare.stop.clone(), bare.tasks.clone()));
        Ok(bare)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, stop: CancellationToken, tasks: TaskTracker) {
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(serve(stream)).await });
    }
}

async fn serve(stream: TcpStream) {
    // Without it small answers wait for the other side's acknowledgement; with it failing they are only slower.
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // The client closes when it is done.
    drop(connection.await);
}

/// Greets whoever signed.
fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, text) = match signer(request) {
        Some(user) => (StatusCode::OK, user.to_string()),
        None => (StatusCode::UNAUTHORIZED, String::new()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

/// One key decoded, one signature verified.
fn signer(request: &Request<Incoming>) -> Option<LoginKey> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let signature: Signature = header(SIGNATURE)?.parse().ok()?;
    LoginKey::log_in(header(KEY)?, header(MESSAGE)?, &signature).ok()
}
