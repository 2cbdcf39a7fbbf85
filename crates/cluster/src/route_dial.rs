//! Dialling where a node accepts routes, without becoming one of them.
//!
//! On its route port a nats-server begins with TLS if it has any, says who it is, and wants a login. Whoever logs in and
//! says that it is a client in some language is told that it has come to the wrong port, and is let go of: so much is enough
//! to know that both certificates and the secret fit, and no route is made.

mod peer;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::{
    CertificateError as TlsCertificateError, ClientConfig, Error as TlsError, RootCertStore,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use self::peer::{PeerFound, PeerProblem, dial_peers};

use crate::guard::RouteMaterial;

/// A line of the protocol, such as what a server says of itself.
const MAX_LINE: u64 = 64 * 1024;

/// What a server says of itself when a route is dialled.
#[derive(Debug, Deserialize)]
struct RouteInfo {
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    cluster: String,
    /// Only those who are no routes have one.
    #[serde(default)]
    client_id: Option<u64>,
}

/// The certificate that a node's own route port shows, whoever's it is.
pub(crate) async fn certificate_shown(
    address: SocketAddr,
    route: &RouteMaterial,
) -> io::Result<CertificateDer<'static>> {
    let stream = TcpStream::connect(address).await?;
    let config = client_config(route, Trust::Anybody).map_err(io::Error::other)?;
    let name = ServerName::IpAddress(IpAddr::into(address.ip()));
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    first_certificate(&stream).ok_or_else(|| io::Error::other("it shows no certificate"))
}

/// Reads what a server says of itself.
async fn greet<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<RouteInfo> {
    let line = read_line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let info = line.strip_prefix("INFO ").ok_or(io::ErrorKind::InvalidData)?;
    serde_json::from_str(info).map_err(|_| io::ErrorKind::InvalidData.into())
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(MAX_LINE).read_line(&mut line).await?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, text: &[u8]) -> io::Result<()> {
    stream.write_all(text).await?;
    stream.flush().await
}

fn first_certificate(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates()?.first().map(|certificate| certificate.clone().into_owned())
}

/// Whose certificates are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Those of the cluster's authority, made for whoever was dialled.
    Peers,
    /// Everybody's: only to look at it, nothing is said there.
    Anybody,
}

fn client_config(route: &RouteMaterial, trust: Trust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in route.authority.ders() {
        roots.add(authority.clone())?;
    }
    let key = PrivateKeyDer::from_pem_slice(route.pair.key_pem().as_bytes())
        .map_err(|_| TlsError::General("the key of the route certificate cannot be read".to_owned()))?;
    let chain = route.pair.certificates.ders().to_vec();
    // As the server does.
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    match trust {
        Trust::Peers => builder.with_root_certificates(roots).with_client_auth_cert(chain, key),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_client_auth_cert(chain, key),
    }
}

/// Takes any certificate whose key the other side has.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        // Routes are TLS 1.3.
        Err(TlsError::InvalidCertificate(TlsCertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Long enough for a peer on another continent; a server waits as long for a handshake.
const PATIENCE: Duration = Duration::from_secs(5);
