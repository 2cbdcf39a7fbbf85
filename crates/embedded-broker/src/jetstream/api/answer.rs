//! The answer to a request, which may be given later, when what it tells is durable.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use serde::Serialize;

use super::ApiRequest;
use crate::jetstream::{
    advisory, api_error::ApiError, commit::Failure, engine::Engine, headers::Headers, json, origin::Origin,
    sender::Sender,
};

/// Where an answer goes and what kind it is.
pub(crate) struct Answer {
    engine: Arc<Engine>,
    reply: Option<Box<str>>,
    kind: &'static str,
    /// What was asked, for those who audit.
    subject: Box<str>,
    body: Bytes,
    origin: Option<Origin>,
}

#[derive(Serialize)]
struct Body<'a, T> {
    r#type: &'a str,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct Refusal<'a, T> {
    r#type: &'a str,
    error: &'a ApiError,
    #[serde(flatten)]
    body: T,
}

/// An answer that says only that it was done.
#[derive(Serialize)]
pub(crate) struct Success {
    pub(crate) success: bool,
}

/// Nothing besides what is always there.
#[derive(Serialize)]
pub(crate) struct Nothing {}

impl Answer {
    /// An answer of a kind: the last part of the type's name, such as `stream_create_response`.
    pub(crate) fn new(engine: &Arc<Engine>, request: &ApiRequest, kind: &'static str) -> Self {
        Self {
            engine: Arc::clone(engine),
            reply: request.reply.clone(),
            kind,
            subject: request.subject.clone(),
            body: request.body.clone(),
            origin: request.origin.clone(),
        }
    }

    /// Answers with this body, or with the error.
    pub(crate) fn give<T: Serialize>(self, sender: &mut Sender, result: Result<T, ApiError>) {
        self.give_or(sender, result, Nothing {});
    }

    /// Answers with this body, or with the error and what stands beside it.
    pub(crate) fn give_or<T: Serialize, E: Serialize>(
        self,
        sender: &mut Sender,
        result: Result<T, ApiError>,
        beside: E,
    ) {
        if result.is_err() {
            self.engine.counters.errors.fetch_add(1, Relaxed);
        }
        let audited = sender.has_receiver(advisory::AUDIT);
        if self.reply.is_none() && !audited {
            return;
        }
        let kind = format!("io.nats.jetstream.api.v1.{}", self.kind);
        let mut out = Vec::new();
        match result {
            Ok(body) => json::write(&mut out, &Body { r#type: &kind, body }),
            Err(error) => {
                json::write(&mut out, &Refusal { r#type: &kind, error: &error, body: beside });
            }
        }
        if let Some(reply) = &self.reply {
            let _receivers = sender.publish(reply, &out);
        }
        if audited {
            let Self { engine, subject, body, origin, .. } = &self;
            let client = origin.as_ref().map(Origin::describe);
            advisory::audit(sender, &engine.server_name, client, subject, body, &out);
        }
    }

    /// Answers what could not be written.
    pub(crate) fn fail(self, sender: &mut Sender, failure: &Failure) {
        self.give::<Nothing>(sender, Err(ApiError::from(failure)));
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl ApiRequest {
    /// What the client requires of the server.
    pub(crate) fn check_level(&self) -> Result<(), ApiError> {
        let headers = Headers::new(self.headers.len(), &self.headers);
        if super::needs_more(headers) { Err(ApiError::required_api_level()) } else { Ok(()) }
    }

    /// Checks that there is no body, or `{}`.
    pub(crate) fn check_empty(&self) -> Result<(), ApiError> {
        let body = self.body.trim_ascii();
        let empty = body.is_empty()
            || body
                .strip_prefix(b"{")
                .and_then(|rest| rest.strip_suffix(b"}"))
                .is_some_and(|inside| inside.trim_ascii().is_empty());
        if empty { Ok(()) } else { Err(ApiError::not_empty_request()) }
    }
}
