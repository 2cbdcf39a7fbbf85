//! The server's question, checked before anything in it is looked at.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use serde::Deserialize;

use super::jwt::{self, JwtError};

/// Whom such a question is for.
const AUDIENCE: &str = "nats-authorization-request";

/// Who may ask.
#[derive(Clone, Copy)]
pub(super) enum Asker<'a> {
    /// This server.
    Server(&'a str),
    /// Any server that sealed the question with this key, and is configured with this issuer. Whether it is one of those
    /// that we are connected to is another question.
    Sealed { key: &'a str, issuer: &'a str },
}

/// A question that its server has signed, about an ordinary client.
#[derive(Deserialize)]
pub(super) struct Request {
    iss: String,
    aud: String,
    /// The issuer that the server expects the answer from.
    #[serde(default)]
    sub: String,
    #[serde(default)]
    exp: u64,
    nats: Claims,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "type")]
    kind: String,
    server_id: ServerId,
    user_nkey: String,
    client_info: ClientInfo,
    connect_opts: ConnectOptions,
}

#[derive(Deserialize)]
struct ServerId {
    id: String,
    #[serde(default)]
    xkey: String,
}

#[derive(Deserialize)]
struct ClientInfo {
    id: u64,
    #[serde(default)]
    host: String,
    #[serde(default)]
    kind: String,
    #[serde(default, rename = "type")]
    protocol: String,
    /// Only there when the client signed it.
    #[serde(default)]
    nonce: String,
}

/// What the client sent. Others mistype their passwords into it: it is never shown.
#[derive(Deserialize)]
pub(super) struct ConnectOptions {
    nkey: Option<String>,
    sig: Option<String>,
    pub(super) user: Option<String>,
    pub(super) pass: Option<String>,
    pub(super) auth_token: Option<String>,
    pub(super) jwt: Option<String>,
    pub(super) name: Option<String>,
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("it is from another server ({0})")]
    OtherServer(String),
    #[error("it is sealed by another than has signed it")]
    OtherKey,
    #[error("it is for another issuer ({0}): auth_callout has one that is not made from our secret")]
    OtherIssuer(String),
    #[error("it is not a question about a login")]
    OtherPurpose,
    /// The server does not see to it itself that only such clients come with the rights that are given here.
    #[error("it is about a connection of kind {kind:?}, {protocol:?}: only NATS clients are let in")]
    OtherKind { kind: String, protocol: String },
}

impl Request {
    /// Reads a question and checks that one who may asks it, about a NATS client.
    pub(super) fn read(payload: &[u8], asker: Asker<'_>) -> Result<Self, RequestError> {
        let (request, signed_by): (Self, String) = jwt::open(payload, |request: &Self| request.iss.clone())?;
        let server = &request.nats.server_id;
        if signed_by != server.id {
            return Err(RequestError::OtherServer(signed_by));
        }
        match asker {
            Asker::Server(id) if server.id != id => return Err(RequestError::OtherServer(signed_by)),
            Asker::Sealed { key, .. } if server.xkey != key => return Err(RequestError::OtherKey),
            Asker::Sealed { issuer, .. } if request.sub != issuer => {
                return Err(RequestError::OtherIssuer(request.sub));
            }
            Asker::Server(_) | Asker::Sealed { .. } => {}
        }
        if request.aud != AUDIENCE || request.nats.kind != "authorization_request" {
            return Err(RequestError::OtherPurpose);
        }
        let client = &request.nats.client_info;
        if client.kind != "Client" || client.protocol != "nats" {
            let (kind, protocol) = (client.kind.clone(), client.protocol.clone());
            return Err(RequestError::OtherKind { kind, protocol });
        }
        Ok(request)
    }

    /// Whether the server has given up waiting.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.exp != 0 && now > self.exp
    }

    pub(super) fn server_id(&self) -> &str {
        &self.nats.server_id.id
    }

    pub(super) fn user_nkey(&self) -> &str {
        &self.nats.user_nkey
    }

    pub(super) fn cid(&self) -> u64 {
        self.nats.client_info.id
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nats.client_info.nonce
    }

    pub(super) fn nkey(&self) -> Option<&str> {
        self.nats.connect_opts.nkey.as_deref()
    }

    /// A signature without the nonce it is of is none.
    pub(super) fn signature(&self) -> Option<&str> {
        self.nats.connect_opts.sig.as_deref().filter(|_| !self.nonce().is_empty())
    }

    pub(super) fn connect_opts(&self) -> &ConnectOptions {
        &self.nats.connect_opts
    }

    pub(super) fn host(&self) -> &str {
        &self.nats.client_info.host
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.host().parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("cid", &self.cid())
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
