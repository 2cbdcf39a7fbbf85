//! One connection, from its first byte to its last.

use std::{
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::ServerLimits;
use crate::request::RemoteAddress;

/// The most that hyper itself takes of request line and headers. Larger than the configured limit, so that
/// the refusal of what lies in between is a problem document; beyond it hyper answers 431 on its own.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Requests that one HTTP/2 connection may have under way.
const MAX_STREAMS: u32 = 100;

/// Bytes that an HTTP/2 peer may send ahead in one stream and in all of them: enough that a file does not wait for
/// every round trip.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// How long an idle connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// What all connections share.
pub(super) struct Settings {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: ServerLimits,
    pub(super) router: Router,
    pub(super) stop: CancellationToken,
}

/// An accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) settings: Arc<Settings>,
}

#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

impl Connection {
    /// Serves requests until one side is done.
    pub(super) async fn serve(self) {
        let Self { stream, remote, settings } = self;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%remote, %error, "the connection was gone at once");
            return;
        }
        let Some(tls) = settings.tls.clone() else {
            return serve_http(stream, Protocol::Http1, remote, &settings).await;
        };
        let handshake = timeout(settings.limits.handshake, tls.accept(stream));
        let accepted = tokio::select! {
            () = settings.stop.cancelled() => return,
            accepted = handshake => accepted,
        };
        match accepted {
            Ok(Ok(stream)) => {
                let protocol = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                serve_http(stream, protocol, remote, &settings).await;
            }
            Ok(Err(error)) => tracing::debug!(%remote, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%remote, "TLS handshake took too long"),
        }
    }
}

async fn serve_http(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    protocol: Protocol,
    remote: SocketAddr,
    settings: &Settings,
) {
    let streams = Streams::default();
    let _cancelled_at_the_end = streams.stop.clone().drop_guard();
    let activity = Arc::new(Activity::new(settings.limits.header_read));
    let service = service_fn({
        let (router, activity) = (settings.router.clone(), activity.clone());
        let idle = settings.limits.idle;
        move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(RemoteAddress(remote));
            let answer = router.clone().oneshot(request.map(Body::new));
            let busy = activity.busy(idle);
            let activity = activity.clone();
            async move {
                let response = answer.await;
                drop(busy);
                response.map(|response| response.map(|body| Body::new(Progress { body, activity, idle })))
            }
        }
    });
    let builder = builder(protocol, settings.limits.header_read, streams.clone());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = settings.stop.cancelled() => None,
        () = activity.idle() => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        // On shutdown the server's drain time bounds this; an idle peer gets a moment to say goodbye.
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = activity.quiet(GOODBYE) => Ok(()),
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%remote, error = %*error, "connection ended");
    }
    streams.tasks.close();
    streams.stop.cancel();
    streams.tasks.wait().await;
}

fn builder(protocol: Protocol, header_read: Duration, streams: Streams) -> auto::Builder<Streams> {
    let builder = auto::Builder::new(streams);
    let mut builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_read).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    builder
}

/// Runs the requests of an HTTP/2 connection in tasks that end with it.
#[derive(Clone, Default)]
struct Streams {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = stream => {}
            }
        });
    }
}

/// Whether requests are under way, and until when the connection may wait for the next one.
struct Activity {
    state: Mutex<(usize, Instant)>,
}

impl Activity {
    fn new(first_request: Duration) -> Self {
        Self { state: Mutex::new((0, Instant::now() + first_request)) }
    }

    /// Counts a request until the guard goes.
    fn busy(self: &Arc<Self>, idle: Duration) -> Busy {
        self.state.lock().0 += 1;
        Busy { activity: Arc::downgrade(self), idle }
    }

    /// Some of an answer went out.
    fn moved(&self, idle: Duration) {
        self.state.lock().1 = Instant::now() + idle;
    }

    /// Resolves when the connection waited too long for a request.
    async fn idle(&self) {
        loop {
            let (busy, until) = *self.state.lock();
            let now = Instant::now();
            if busy == 0 && now >= until {
                return;
            }
            // A busy connection is looked at again later; its own requests have a time limit.
            sleep_until(until.max(now + Duration::from_secs(1))).await;
        }
    }

    /// Resolves when no request is under way, looking every `time`.
    async fn quiet(&self, time: Duration) {
        loop {
            tokio::time::sleep(time).await;
            if self.state.lock().0 == 0 {
                return;
            }
        }
    }
}

/// The body of an answer. Whenever the connection takes some of it, it is not idle: a long download goes on as long as
/// the client reads, and a client that stops reading loses its connection.
struct Progress {
    body: Body,
    activity: Arc<Activity>,
    idle: Duration,
}

impl http_body::Body for Progress {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.activity.moved(self.idle);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request under way.
struct Busy {
    activity: Weak<Activity>,
    idle: Duration,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(activity) = self.activity.upgrade() {
            let mut state = activity.state.lock();
            *state = (state.0.saturating_sub(1), Instant::now() + self.idle);
        }
    }
}
