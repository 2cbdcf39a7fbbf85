//! The HTTP request that opens a WebSocket (RFC 6455, 4.2): what is refused, and with which answer.
//!
//! hyper reads the request, in bounded memory; the caller bounds its time. No extension is agreed on, compression
//! included. Any path will do, as on nats-server, except those that mean something else there.

mod stream;

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tungstenite::handshake::derive_accept_key;

use super::{Door, Transport};
use crate::{Origin, OriginPolicy};

pub(super) use stream::WebSocketStream;

/// Most bytes of a request.
const MAX_REQUEST: usize = 16 * 1024;

/// Most header fields of a request.
const MAX_FIELDS: usize = 64;

/// The only version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Paths of other protocols of nats-server.
const OTHER_PROTOCOLS: [&str; 2] = ["/mqtt", "/leafnode"];

/// Why a connection did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the request did not come in time")]
    TimedOut,
    #[error("bad request: {0}")]
    Http(#[from] hyper::Error),
    #[error("request refused")]
    Refused,
}

/// Answers the one request of a connection, and makes a WebSocket of it.
pub(super) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    door: &Door,
) -> Result<WebSocketStream<S>, UpgradeError> {
    let accepted = AtomicBool::new(false);
    let service = service_fn(|request| {
        let answer = check(&request, door);
        accepted.store(answer.is_ok(), Relaxed);
        let response = answer.map_or_else(refusal, |key| switching_protocols(&key));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_REQUEST)
        .max_headers(MAX_FIELDS)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let parts = connection.without_shutdown().await?;
    let mut stream = parts.io.into_inner();
    if !accepted.load(Relaxed) {
        // The answer is written; whether its end arrives makes no difference.
        drop(stream.shutdown().await);
        return Err(UpgradeError::Refused);
    }
    Ok(WebSocketStream::new(stream, parts.read_buf))
}

/// Checks a request to open a WebSocket. Answers the client's key, or what is wrong.
fn check<B>(request: &Request<B>, door: &Door) -> Result<HeaderValue, StatusCode> {
    let fields = request.headers();
    if request.method() != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if OTHER_PROTOCOLS.contains(&request.uri().path()) {
        return Err(StatusCode::NOT_FOUND);
    }
    if request.version() != Version::HTTP_11
        || !has_token(fields, &UPGRADE, "websocket")
        || !has_token(fields, &CONNECTION, "upgrade")
        || only(fields, &SEC_WEBSOCKET_VERSION) != Some(&VERSION)
    {
        return Err(StatusCode::BAD_REQUEST);
    }
    let key = only(fields, &SEC_WEBSOCKET_KEY).ok_or(StatusCode::BAD_REQUEST)?;
    if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
        return Err(StatusCode::BAD_REQUEST);
    }
    let host = only(fields, &HOST).and_then(|host| host.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
    if !may_connect(fields, host, door) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(key.clone())
}

/// Whether the page that asks may. Only browsers say which page that is, and a page cannot make them lie.
fn may_connect(fields: &HeaderMap, host: &str, door: &Door) -> bool {
    let Transport::WebSocket { origins, .. } = &door.transport else {
        return false;
    };
    if *origins == OriginPolicy::Any || !fields.contains_key(ORIGIN) {
        return true;
    }
    let origin = only(fields, &ORIGIN).and_then(|origin| origin.to_str().ok()?.parse::<Origin>().ok());
    origin.is_some_and(|origin| match origins {
        OriginPolicy::SameOrigin => origin.is_of(host, door.is_encrypted()),
        OriginPolicy::AnyOf(allowed) => allowed.contains(&origin),
        OriginPolicy::Any => true,
    })
}

/// The field that must be there once.
fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = fields.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a list of tokens holds one.
fn has_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = fields.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|entry| entry.trim().eq_ignore_ascii_case(token))
}

fn switching_protocols(key: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = derive_accept_key(key.as_bytes());
    fields.insert(SEC_WEBSOCKET_ACCEPT, accept.try_into().expect("base64 is text"));
    response
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(status.canonical_reason().unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
