//! Signed requests to the control plane, without the SDK: what a client in another language does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use busauth::http_signature::sign;
use busauth::{ContentDigest, HttpNonce, Identity, RequestTarget, SignedBody};
use bytes::Bytes;
use control_api::Problem;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

const JSON: &str = "application/json";

/// One user's way to the control plane. Every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct ControlClient {
    address: SocketAddr,
    identity: Arc<Identity>,
    /// Whom it believes to be the control plane; without, it speaks plaintext.
    tls: Option<Arc<ClientConfig>>,
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The bus said no.
    #[error(transparent)]
    Refused(#[from] Box<Problem>),
    /// The connection, or what came over it.
    #[error("the control plane cannot be asked: {0}")]
    Transport(Box<dyn std::error::Error + Send + Sync>),
}

impl ControlError {
    /// What the bus said, if it said anything.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Transport(_) => None,
        }
    }
}

impl ControlClient {
    /// Requests signed by `identity`.
    pub fn new(address: SocketAddr, identity: Arc<Identity>) -> Self {
        Self { address, identity, tls: None }
    }

    /// The same over TLS: the control plane has to show a certificate for its address that this configuration accepts.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Who signs.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ControlError> {
        self.call(&Method::GET, path, None).await
    }

    /// `POST` with a JSON body.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ControlError> {
        self.call(&Method::POST, path, Some(json(body)?)).await
    }

    /// `PATCH` with a JSON body.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ControlError> {
        self.call(&Method::PATCH, path, Some(json(body)?)).await
    }

    /// `DELETE`. An answer without a body is `()`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ControlError> {
        self.call(&Method::DELETE, path, None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<T, ControlError> {
        let (status, answer) = self.exchange(self.signed(method, path, body)?).await?;
        if status.is_success() {
            let answer: &[u8] = if answer.is_empty() { b"null" } else { &answer };
            return serde_json::from_slice(answer).map_err(transport);
        }
        let problem: Problem = serde_json::from_slice(&answer).map_err(transport)?;
        Err(Box::new(problem).into())
    }

    fn signed(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Request<Full<Bytes>>, ControlError> {
        let authority = self.address.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(transport)?.as_secs();
        let (bare_path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let target = RequestTarget { method, authority: &authority, path: bare_path, query };
        let signed_body =
            body.as_ref().map(|body| SignedBody { digest: ContentDigest::of(body), content_type: JSON });
        let signature = sign(&self.identity, &target, signed_body, now, &HttpNonce::random());

        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &authority);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, JSON);
        }
        let mut request = request.body(Full::new(body.unwrap_or_default())).map_err(transport)?;
        request.headers_mut().extend(signature);
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ControlError> {
        let stream = TcpStream::connect(self.address).await.map_err(transport)?;
        match &self.tls {
            None => exchange_over(stream, request).await,
            Some(config) => {
                let name = ServerName::from(self.address.ip());
                let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
                exchange_over(stream.map_err(transport)?, request).await
            }
        }
    }
}

async fn exchange_over(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ControlError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(transport)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(transport)?;
        drop(sender);
        let status = response.status();
        let body = response.into_body().collect().await.map_err(transport)?.to_bytes();
        Ok((status, body))
    };
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

fn json(body: &impl Serialize) -> Result<Bytes, ControlError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(transport)
}

fn transport(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ControlError {
    ControlError::Transport(error.into())
}
