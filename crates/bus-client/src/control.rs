//! Signed calls to the control plane: retries that change nothing twice, fail-over between control URLs, and the
//! server's clock where ours is off.

mod answer;
mod endpoint;
mod endpoints;
mod retry;
mod streamed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busauth::{ContentDigest, HttpNonce, Identity, RequestTarget, SignedBody};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
pub(crate) use endpoint::{Endpoint, Scheme, is_loopback};
use endpoints::Endpoints;
use retry::Retry;
pub(crate) use streamed::UploadCall;

const JSON: &str = "application/json";
/// A call is tried this often before its failure is reported.
const ATTEMPTS: u32 = 4;
/// Between two attempts, unless the server asks for something else.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait a server may ask for; what is longer is reported to the caller instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes of a file that may be on their way in one HTTP/2 stream.
const STREAM_WINDOW: u32 = 512 * 1024;

/// A server that has just started asks for a time a little ahead, and later for the present one.
const CLOCK_CORRECTIONS: u32 = 3;
/// How far a server's clock is followed. Further, and a server could collect requests that somebody replays when
/// their date has come.
const MAX_CLOCK_CORRECTION: Duration = Duration::from_hours(24);

/// Whether a call may be sent again when it is unknown whether it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is the same as once: reads, statements of a log, setting a value.
    Harmless,
    /// Only when it certainly never arrived.
    OnlyUnsent,
}

/// The control plane of one bus, as one identity.
#[derive(Debug)]
pub(crate) struct Control {
    http: reqwest::Client,
    /// For files: without a limit on the time of a whole call.
    streams: reqwest::Client,
    identity: Arc<Identity>,
    endpoints: RwLock<Endpoints>,
    /// Server time minus ours, in seconds, once the server has objected to ours.
    clock_offset: AtomicI64,
    timeout: Duration,
    /// Nodes that have not confirmed a change, until somebody asks.
    unconfirmed: Mutex<BTreeSet<String>>,
}

/// Why one attempt failed, and whether another makes sense.
struct Failure {
    error: Error,
    next: Next,
}

enum Next {
    GiveUp,
    /// Sent nothing: any call may be repeated, on the next server.
    Elsewhere,
    /// Unknown whether it arrived: only harmless calls may be repeated.
    PerhapsDone,
    /// Refused before anything happened, wait this long.
    After(Duration),
    /// The clock has been corrected; once more, after this long.
    CorrectedClock(Duration),
}

impl Control {
    pub(crate) fn new(
        identity: Arc<Identity>,
        first: Endpoint,
        tls: rustls::ClientConfig,
        connect_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self> {
        let mut tls = tls;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = |timeout: Option<Duration>| {
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                // A signature names the authority it is for, so a redirected request could only fail; and a proxy from the
                // environment must not come between this client and a loopback address.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(connect_timeout)
                .http2_initial_stream_window_size(STREAM_WINDOW);
            let builder = match timeout {
                Some(timeout) => builder.timeout(timeout),
                None => builder,
            };
            builder.build().map_err(|source| {
                Error::new(ErrorKind::Config, "the HTTP client cannot be built").with_source(source)
            })
        };
        Ok(Self {
            http: client(Some(timeout))?,
            streams: client(None)?,
            identity,
            endpoints: RwLock::new(Endpoints::new(first)),
            clock_offset: AtomicI64::new(0),
            timeout,
            unconfirmed: Mutex::default(),
        })
    }

    /// The nodes that have not confirmed a change, since the last time that this was asked.
    pub(crate) fn take_unconfirmed(&self) -> Vec<String> {
        std::mem::take(&mut *self.unconfirmed.lock()).into_iter().collect()
    }

    /// Takes in where the nodes were when a program was here before; calls begin with the first of them.
    pub(crate) fn resume(&self, known: Vec<Endpoint>) {
        let Some(first) = known.first().cloned() else { return };
        let mut endpoints = self.endpoints.write();
        endpoints.learn(known);
        endpoints.go_to(&first);
    }

    /// The node that was configured, and all that are known: the one that calls go to now comes first.
    pub(crate) fn known_endpoints(&self) -> (Endpoint, Vec<Endpoint>) {
        let endpoints = self.endpoints.read();
        (endpoints.configured().clone(), endpoints.beginning_with_current().cloned().collect())
    }

    /// Takes in which other nodes of the bus there are to fail over to. The one that was configured stays first.
    pub(crate) fn learn_endpoints(&self, others: impl IntoIterator<Item = Endpoint>) {
        self.endpoints.write().learn(others);
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        answer::parse(&self.call(Method::GET, path, None, Repeat::Harmless).await?)
    }

    /// A read that needs no signature, and so works before the bus knows who asks.
    pub(crate) async fn get_open<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        answer::parse(&self.retried(&Method::GET, path, None, Repeat::Harmless, Signing::Unsigned).await?)
    }

    pub(crate) async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        repeat: Repeat,
    ) -> Result<T> {
        answer::parse(&self.call(method, path, Some(render(body)?), repeat).await?)
    }

    /// A call without a body whose answer is of interest.
    pub(crate) async fn receive<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T> {
        answer::parse(&self.call(method, path, None, Repeat::Harmless).await?)
    }

    /// A call whose answer has no content.
    pub(crate) async fn command<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<()> {
        let body = body.map(render).transpose()?;
        self.call(method, path, body, Repeat::Harmless).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Bytes>, repeat: Repeat) -> Result<Bytes> {
        self.retried(&method, path, body, repeat, Signing::Signed).await
    }

    async fn retried(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        repeat: Repeat,
        signing: Signing,
    ) -> Result<Bytes> {
        let mut retry = Retry::until(Some(tokio::time::Instant::now() + self.timeout.saturating_mul(3)));
        loop {
            match self.attempt(method, path, body.clone(), signing).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.before_next(&mut retry, failure, repeat, path).await?,
            }
        }
    }

    /// Waits until a call that has failed is to be tried again, perhaps at another node; or its error is to be reported.
    async fn before_next(
        &self,
        retry: &mut Retry,
        Failure { error, next }: Failure,
        repeat: Repeat,
        path: &str,
    ) -> Result<()> {
        let Some(again) = retry.after(&next, repeat) else { return Err(error) };
        if again.elsewhere {
            self.endpoints.write().move_on();
        }
        tracing::debug!(path, %error, "a call to the control plane is tried again");
        tokio::time::sleep(again.wait).await;
        Ok(())
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        signing: Signing,
    ) -> std::result::Result<Bytes, Failure> {
        let endpoint = self.endpoint();
        let mut request = self.http.request(method.clone(), endpoint.url(path));
        if signing == Signing::Signed {
            let body =
                body.as_ref().map(|body| SignedBody { digest: ContentDigest::of(body), content_type: JSON });
            request = request.headers(self.signature(&endpoint, method, path, body));
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(JSON)).body(body);
        }
        let response = request.send().await.map_err(|error| answer::transport_failure(&endpoint, error))?;
        let is_settled = response.status() != StatusCode::ACCEPTED;
        let body = answer::read(&endpoint, response, |server_time| self.correct_clock(server_time)).await?;
        if !is_settled {
            let pending = answer::pending(&body);
            tracing::warn!(?pending, "a change is stored, and not confirmed by all nodes of the bus");
            self.unconfirmed.lock().extend(pending);
        }
        Ok(body)
    }

    fn signature(
        &self,
        endpoint: &Endpoint,
        method: &Method,
        path: &str,
        body: Option<SignedBody<'_>>,
    ) -> http::HeaderMap {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let target = RequestTarget { method, authority: endpoint.authority(), path, query };
        busauth::http_signature::sign(&self.identity, &target, body, self.now(), &HttpNonce::random())
    }

    /// Our time as the server would say it, in unix seconds.
    fn now(&self) -> u64 {
        unix_now().saturating_add_signed(self.clock_offset.load(Ordering::Relaxed))
    }

    /// Follows the server's clock for signatures on requests to it, within [`MAX_CLOCK_CORRECTION`]. Nothing else
    /// believes that clock.
    fn correct_clock(&self, server_time: u64) {
        let offset = i64::try_from(server_time).unwrap_or(i64::MAX).saturating_sub_unsigned(unix_now());
        if offset.unsigned_abs() > MAX_CLOCK_CORRECTION.as_secs() {
            tracing::warn!(
                seconds = offset,
                "the server's clock is too far from this computer's to follow it"
            );
        } else if self.clock_offset.swap(offset, Ordering::Relaxed) != offset {
            tracing::debug!(seconds = offset, "requests are dated by the server's clock");
        }
    }

    fn endpoint(&self) -> Endpoint {
        self.endpoints.read().current().clone()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signing {
    Signed,
    Unsigned,
}

fn render<B: Serialize>(body: &B) -> Result<Bytes> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|source| {
        Error::new(ErrorKind::Invalid, "the request cannot be written as JSON").with_source(source)
    })
}

/// Seconds since 1970 by this computer's clock.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

#[cfg(test)]
mod tests;
