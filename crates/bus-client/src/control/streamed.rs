//! Calls whose body is a file: no limit on the whole time, but on the time without progress.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use busauth::{ContentDigest, SignedBody};
use bytes::Bytes;
use control_api::{BlobInfo, ProblemCode};
use futures_util::stream;
use http::{HeaderValue, Method, StatusCode, header};
use room_protocol::BlobDigest;
use tokio::sync::mpsc;

use super::retry::Retry;
use super::{Control, Endpoint, Failure, Next, Repeat, answer};
use crate::error::{Error, ErrorKind, Result};

const OCTETS: &str = "application/octet-stream";
/// A transfer in which nothing moves for so long has failed.
const STALL: Duration = Duration::from_mins(1);
/// How long the bus may take to put a file that has arrived on its disk.
const STORE: Duration = Duration::from_mins(5);

/// A file that the control plane is about to be sent.
pub(crate) struct UploadCall<'a> {
    pub(crate) path: &'a str,
    pub(crate) digest: BlobDigest,
    pub(crate) length: u64,
}

/// A file, or a part of it, that the control plane is asked for.
struct Asked<'a> {
    path: &'a str,
    digest: &'a BlobDigest,
    start: u64,
    end: Option<u64>,
}

/// A file, or the rest of one, on its way in.
pub(crate) struct Incoming {
    response: reqwest::Response,
    /// The length of the whole file.
    pub(crate) total: u64,
    /// Where in the file this begins.
    pub(crate) start: u64,
}

impl Control {
    /// Sends a file. `open` starts it anew for each attempt; when it cannot be read, `open`'s side knows why.
    pub(crate) async fn upload(
        &self,
        call: &UploadCall<'_>,
        mut open: impl FnMut() -> mpsc::Receiver<Bytes>,
    ) -> Result<BlobInfo> {
        let mut retry = Retry::until(None);
        loop {
            match self.upload_once(call, open()).await {
                Ok(stored) => return answer::parse(&stored),
                Err(failure) => self.before_next(&mut retry, failure, Repeat::Harmless, call.path).await?,
            }
        }
    }

    async fn upload_once(
        &self,
        call: &UploadCall<'_>,
        mut parts: mpsc::Receiver<Bytes>,
    ) -> std::result::Result<Bytes, Failure> {
        let endpoint = self.endpoint();
        let digest = ContentDigest::from_sha256(*call.digest.as_bytes());
        // An empty body is signed as none.
        let body = (call.length > 0).then_some(SignedBody { digest, content_type: OCTETS });
        let sent = Arc::new(AtomicU64::new(0));
        let counted = sent.clone();
        let parts = stream::poll_fn(move |context| {
            let part = parts.poll_recv(context);
            if let Poll::Ready(Some(part)) = &part {
                counted.fetch_add(part.len() as u64, Ordering::Relaxed);
            }
            part.map(|part| part.map(Ok::<_, Infallible>))
        });
        let request = self
            .streams
            .request(Method::POST, endpoint.url(call.path))
            .headers(self.signature(&endpoint, &Method::POST, call.path, body))
            .header(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS))
            .header(header::CONTENT_LENGTH, call.length)
            .body(reqwest::Body::wrap_stream(parts));
        let answered = async {
            let response =
                request.send().await.map_err(|error| answer::transport_failure(&endpoint, error))?;
            answer::read(&endpoint, response, |server_time| self.correct_clock(server_time)).await
        };
        tokio::select! {
            answered = answered => answered,
            () = stalled(&sent, call.length) => Err(stall()),
        }
    }

    /// Asks for a file from byte `start` on.
    pub(crate) async fn download(&self, path: &str, digest: &BlobDigest, start: u64) -> Result<Incoming> {
        self.ranged(&Asked { path, digest, start, end: None }).await
    }

    /// The length of a stored file. Not by `HEAD`, whose refusals do not say why.
    pub(crate) async fn file_length(&self, path: &str, digest: &BlobDigest) -> Result<u64> {
        match self.ranged(&Asked { path, digest, start: 0, end: Some(1) }).await {
            Ok(incoming) => Ok(incoming.total),
            // An empty file has no first byte.
            Err(error) if error.code() == Some(ProblemCode::RangeNotSatisfiable) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The first bytes of a file, and the length of the whole.
    pub(crate) async fn first_bytes(
        &self,
        path: &str,
        digest: &BlobDigest,
        count: usize,
    ) -> Result<(Bytes, u64)> {
        let asked = Asked { path, digest, start: 0, end: Some(count as u64) };
        let mut incoming = self.ranged(&asked).await?;
        let mut first = Vec::with_capacity(count);
        while first.len() < count {
            match incoming.next().await? {
                Some(part) => first.extend_from_slice(&part[..part.len().min(count - first.len())]),
                None => break,
            }
        }
        Ok((first.into(), incoming.total))
    }

    async fn ranged(&self, asked: &Asked<'_>) -> Result<Incoming> {
        let mut retry = Retry::until(None);
        loop {
            match self.ranged_once(asked).await {
                Ok(incoming) => return Ok(incoming),
                Err(failure) => self.before_next(&mut retry, failure, Repeat::Harmless, asked.path).await?,
            }
        }
    }

    async fn ranged_once(&self, asked: &Asked<'_>) -> std::result::Result<Incoming, Failure> {
        let Asked { path, digest, start, end } = asked;
        let endpoint = self.endpoint();
        let request = self.streams.request(Method::GET, endpoint.url(path)).headers(self.signature(
            &endpoint,
            &Method::GET,
            path,
            None,
        ));
        let last = end.map_or_else(String::new, |end| (end - 1).to_string());
        let request = request
            .header(header::RANGE, format!("bytes={start}-{last}"))
            .header(header::IF_RANGE, format!("\"{digest}\""));
        // The file may take as long as it needs; that it comes, or why it does not, may not.
        let answered = async {
            let response =
                request.send().await.map_err(|error| answer::transport_failure(&endpoint, error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let refused = answer::read(&endpoint, response, |server_time| self.correct_clock(server_time));
            refused.await?;
            Err(odd("the bus answered in a way that makes no sense"))
        };
        let response = tokio::time::timeout(self.timeout, answered)
            .await
            .unwrap_or_else(|_| Err(unanswered(&endpoint)))?;
        Incoming::of(response).ok_or_else(|| odd("the bus does not say which part of the file it sends"))
    }
}

impl Incoming {
    fn of(response: reqwest::Response) -> Option<Self> {
        let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return None;
        }
        let (range, total) = text(header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
        let (start, total) = (range.split_once('-')?.0.parse().ok()?, total.parse().ok()?);
        Some(Self { response, total, start })
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match tokio::time::timeout(STALL, self.response.chunk()).await {
            Ok(Ok(part)) => Ok(part),
            Ok(Err(source)) => Err(Error::new(ErrorKind::Unreachable, "the file broke off on its way")
                .with_source(source.without_url())),
            Err(_) => Err(stall().error),
        }
    }
}

/// Resolves when an upload no longer moves.
async fn stalled(sent: &AtomicU64, length: u64) {
    let mut before = 0;
    loop {
        tokio::time::sleep(STALL).await;
        let now = sent.load(Ordering::Relaxed);
        if now == length {
            return tokio::time::sleep(STORE).await;
        }
        if now == before {
            return;
        }
        before = now;
    }
}

fn unanswered(endpoint: &Endpoint) -> Failure {
    let error =
        Error::new(ErrorKind::Timeout, format!("the control plane at {endpoint} did not answer in time"));
    Failure { error, next: Next::PerhapsDone }
}

fn stall() -> Failure {
    let seconds = STALL.as_secs();
    let error = Error::new(ErrorKind::Timeout, format!("nothing of the file moved for {seconds} seconds"));
    Failure { error, next: Next::PerhapsDone }
}

fn odd(what: &str) -> Failure {
    Failure { error: Error::new(ErrorKind::Protocol, what), next: Next::GiveUp }
}
