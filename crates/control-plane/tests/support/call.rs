//! One request, signed as asked, and its answer.

use std::fmt::Write as _;

use std::{convert::Infallible, net::SocketAddr};

use busauth::{
    ContentDigest, HttpNonce, Identity, RequestTarget, SignedBody,
    http_signature::{SIGNATURE, UNSIGNED_USER, sign},
};
use bytes::Bytes;
use control_api::{PROBLEM_JSON, Problem, ProblemCode};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::{Bus, now};

/// A request's body, of known length or chunked.
type WireBody = BoxBody<Bytes, Infallible>;

pub(crate) struct Call<'a> {
    address: SocketAddr,
    caller: Option<&'a Identity>,
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    authority: String,
    created: u64,
    nonce: HttpNonce,
    extra: HeaderMap,
    content_type: &'static str,
    /// What is sent in place of the signed body.
    swapped: Option<Vec<u8>>,
    chunked: bool,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        bus: &Bus,
        caller: &'a Identity,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Self {
        Self {
            address: bus.address,
            caller: Some(caller),
            method,
            path: path.to_owned(),
            body,
            authority: bus.address.to_string(),
            created: now(),
            nonce: HttpNonce::random(),
            extra: HeaderMap::new(),
            content_type: "application/json",
            swapped: None,
            chunked: false,
        }
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.caller = None;
        self
    }

    /// Unsigned, with the header that names the user.
    pub(crate) fn named(self, user: &Identity) -> Self {
        let value = HeaderValue::from_str(&user.id().to_string()).unwrap();
        self.unsigned().header(UNSIGNED_USER, value)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.extra.append(name, value);
        self
    }

    pub(crate) fn addressed_to(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    pub(crate) fn created(mut self, at: u64) -> Self {
        self.created = at;
        self
    }

    pub(crate) fn nonce(mut self, nonce: HttpNonce) -> Self {
        self.nonce = nonce;
        self
    }

    pub(crate) fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A body that is no JSON.
    pub(crate) fn file(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content_type = "application/octet-stream";
        self.raw_body(content)
    }

    /// The request line and headers as bytes, for a test that sends the body its own way.
    pub(crate) fn head(&self, length: usize) -> Vec<u8> {
        let request = self.request();
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in request.headers() {
            write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
        }
        write!(head, "content-length: {length}\r\n\r\n").unwrap();
        head.into_bytes()
    }

    /// Sends another body than the one that was signed.
    pub(crate) fn swap_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.swapped = Some(body.into());
        self
    }

    pub(crate) fn without_body(mut self) -> Self {
        self.body = None;
        self
    }

    /// Sends the body without saying how long it is.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The request as it goes over the wire.
    pub(crate) fn request(&self) -> Request<WireBody> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::HOST, &self.authority);
        let headers = request.headers_mut().unwrap();
        if let Some(caller) = self.caller {
            let (path, query) = match self.path.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (self.path.as_str(), None),
            };
            let target = RequestTarget { method: &self.method, authority: &self.authority, path, query };
            let body = self
                .body
                .as_ref()
                .map(|body| SignedBody { digest: ContentDigest::of(body), content_type: self.content_type });
            headers.extend(sign(caller, &target, body, self.created, &self.nonce));
        }
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if self.extra.contains_key(SIGNATURE) {
            headers.remove(SIGNATURE);
        }
        for (name, value) in &self.extra {
            headers.append(name, value.clone());
        }
        let body = self.swapped.clone().or_else(|| self.body.clone()).unwrap_or_default();
        let body = Full::new(Bytes::from(body));
        let body =
            if self.chunked { body.with_trailers(std::future::ready(None)).boxed() } else { body.boxed() };
        request.body(body).unwrap()
    }

    pub(crate) async fn send(self) -> Answer {
        exchange(TcpStream::connect(self.address).await.unwrap(), self.request()).await
    }

    /// Sends and expects this success.
    pub(crate) async fn ok<T: DeserializeOwned>(self, status: StatusCode) -> T {
        let answer = self.send().await;
        assert_eq!(answer.status, status, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Sends and expects this problem.
    pub(crate) async fn problem(self, code: ProblemCode) -> Problem {
        self.send().await.problem(code)
    }
}

/// One request on a connection of its own.
pub(crate) async fn exchange<I>(io: I, request: Request<WireBody>) -> Answer
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    let exchange = async {
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        Answer { status: parts.status, headers: parts.headers, body }
    };
    // A server that refuses a body it has not read cuts the connection after its answer.
    let (answer, _connection) = tokio::join!(exchange, connection);
    answer
}

impl Answer {
    pub(crate) fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks everything that every problem has, and its code.
    pub(crate) fn problem(&self, code: ProblemCode) -> Problem {
        assert_eq!(self.header(&header::CONTENT_TYPE), PROBLEM_JSON, "{self:?}");
        assert_eq!(self.header(&header::CACHE_CONTROL), "no-store", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.code, code, "{problem:?}");
        assert_eq!(self.status, code.status());
        assert_eq!(problem.status, self.status.as_u16());
        assert!(!problem.detail.is_empty() && !problem.request_id.is_empty());
        problem
    }
}
