//! What a lie sees and what it may change.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;

/// Turns the bus's answer into what the client is told.
pub type Lie = Arc<dyn Fn(&Asked, Answer) -> Answer + Send + Sync>;

/// A request as it was passed on.
#[derive(Debug, Clone)]
pub struct Asked {
    method: Method,
    uri: Uri,
    body: Bytes,
}

/// An answer: the bus's, or what is made of it.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    pub(super) fn new(method: Method, uri: Uri, body: Bytes) -> Self {
        Self { method, uri, body }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The body; `None` unless it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether this reads a room's membership log.
    pub fn reads_log(&self) -> bool {
        self.method == Method::GET && self.in_room("log")
    }

    /// Whether this reads the caller's sealed keys of a room.
    pub fn reads_keys(&self) -> bool {
        self.method == Method::GET && self.in_room("keys")
    }

    /// Whether this reads a file of a room, or a part of one.
    pub fn reads_file(&self) -> bool {
        self.method == Method::GET && self.path().starts_with("/v1/rooms/") && self.path().contains("/blobs/")
    }

    fn in_room(&self, part: &str) -> bool {
        let mut segments = self.path().trim_start_matches('/').split('/');
        segments.next() == Some("v1")
            && segments.next() == Some("rooms")
            && segments.next().is_some()
            && segments.next() == Some(part)
            && segments.next().is_none()
    }
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers, body }
    }

    /// An answer made up from nothing.
    pub fn made_up(status: StatusCode, json: &Value) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self::new(status, headers, Bytes::from(json.to_string()))
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body; `None` unless it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The same answer with its JSON changed; an answer that is not JSON stays as it is.
    #[must_use]
    pub fn map_json(mut self, change: impl FnOnce(&mut Value)) -> Self {
        if let Some(mut json) = self.json() {
            change(&mut json);
            self.body = Bytes::from(json.to_string());
        }
        self
    }

    /// The same answer with another body.
    #[must_use]
    pub fn map_bytes(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.body.to_vec();
        change(&mut bytes);
        self.body = Bytes::from(bytes);
        self
    }

    pub(super) fn into_response(mut self) -> Response<Full<Bytes>> {
        // The body may have another length now, and is sent in one piece.
        self.headers.remove(CONTENT_LENGTH);
        self.headers.remove(TRANSFER_ENCODING);
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
