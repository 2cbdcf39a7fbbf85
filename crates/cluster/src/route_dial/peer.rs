//! Each peer of a node, dialled as a route is.

use std::{io, net::IpAddr, sync::Arc, time::SystemTime};

use futures_util::future;
use rustls::{AlertDescription, CertificateError as TlsCertificateError, Error as TlsError};
use rustls_pki_types::ServerName;
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{PATIENCE, RouteInfo, Trust, client_config, first_certificate, greet, read_line, write};
use crate::{
    certificate::certificate_expires,
    config::ClusterConfig,
    guard::{Cleared, RouteMaterial},
    route_secret::RouteLogin,
    route_url::RouteUrl,
};

/// What a server answers to a client on its route port.
const WRONG_PORT: &str = "attempted to connect to route port";
/// What it answers to another secret.
const NOT_LET_IN: &str = "authorization violation";

/// A peer that a route can be made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFound {
    /// What it calls itself.
    pub name: String,
    /// The version of its nats-server.
    pub version: String,
    /// When the certificate that it shows expires; `None` without TLS.
    pub certificate_expires: Option<SystemTime>,
}

/// Why no route can be made to a peer. Each text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerProblem {
    /// Nobody is there.
    #[error("cannot be reached ({0}): is the node running, and does a firewall let its route port through?")]
    Unreachable(io::Error),
    /// It takes too long.
    #[error("does not answer in time: is something else listening there, or a firewall in between?")]
    Silent,
    /// Something else is there.
    #[error(
        "is answered by something that is no nats-server's route port: check the address and --cluster-port there"
    )]
    NoRoutePort,
    /// Another cluster.
    #[error("belongs to the cluster \"{0}\": --cluster-name has to be the same on every node")]
    OtherCluster(String),
    /// Ourselves, or a node of our name.
    #[error(
        "calls itself {0}, as this node does: every node needs a --server-name of its own, and --routes names the others"
    )]
    SameName(String),
    /// It has no TLS, and we do.
    #[error("has no TLS on its routes: set --route-tls-cert, --route-tls-key and --route-tls-ca there")]
    HasNoTls,
    /// It has TLS, and we have none.
    #[error(
        "wants TLS on its routes: set --route-tls-cert, --route-tls-key and --route-tls-ca here, as on every node"
    )]
    WantsTls,
    /// Its certificate.
    #[error("shows a certificate that {0}")]
    Certificate(String),
    /// It does not take ours.
    #[error(
        "does not take the certificate of this node ({0}): both have to be made by the same authority, and be valid by its clock"
    )]
    OursRefused(String),
    /// It has another secret.
    #[error("has another secret: the file of --cluster-pass-file has to be the same on every node")]
    OtherSecret,
    /// It said something unexpected.
    #[error("answers in a way that is not understood: {0}")]
    Odd(String),
}

/// Dials every peer that a configuration names, as a route is dialled, and lets go again before one is made.
pub async fn dial_peers(cleared: &Cleared) -> Vec<(RouteUrl, Result<PeerFound, PeerProblem>)> {
    let config = cleared.config();
    let dials = config.routes.iter().map(|route| async {
        let found = match timeout(PATIENCE, dial(route, config, cleared.route())).await {
            Ok(found) => found,
            Err(_) => Err(PeerProblem::Silent),
        };
        (route.clone(), found)
    });
    future::join_all(dials).await
}

async fn dial(
    route: &RouteUrl,
    config: &ClusterConfig,
    material: Option<&RouteMaterial>,
) -> Result<PeerFound, PeerProblem> {
    let stream = reach(route).await?;
    let login = config.route_login.as_ref().map(|login| route.login_or(login));
    let Some(material) = material else {
        return converse(stream, config, login, None).await.map_err(|problem| match problem {
            // It waits for TLS until its patience is over.
            PeerProblem::Silent => PeerProblem::WantsTls,
            other => other,
        });
    };
    let tls = client_config(material, Trust::Peers).map_err(|error| PeerProblem::Odd(error.to_string()))?;
    let name = server_name(route.host())?;
    let stream = match TlsConnector::from(Arc::new(tls)).connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) if matches!(tls_error(&error), Some(TlsError::InvalidMessage(_))) => {
            return Err(without_tls(route).await);
        }
        Err(error) => return Err(tls_problem(&error, route.host())),
    };
    let expires = first_certificate(&stream).as_ref().and_then(certificate_expires);
    converse(stream, config, login, expires).await
}

async fn reach(route: &RouteUrl) -> Result<TcpStream, PeerProblem> {
    TcpStream::connect((route.host(), route.port())).await.map_err(PeerProblem::Unreachable)
}

/// What it is that answers and has no TLS.
async fn without_tls(route: &RouteUrl) -> PeerProblem {
    let said = async { greet(&mut BufReader::new(reach(route).await.ok()?)).await.ok() };
    match said.await {
        Some(RouteInfo { client_id: None, .. }) => PeerProblem::HasNoTls,
        _ => PeerProblem::NoRoutePort,
    }
}

/// Reads who it is, and logs in as what cannot stay.
async fn converse<S>(
    stream: S,
    config: &ClusterConfig,
    login: Option<&RouteLogin>,
    certificate_expires: Option<SystemTime>,
) -> Result<PeerFound, PeerProblem>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    let info = greet(&mut stream).await.map_err(|error| match (tls_error(&error), error.kind()) {
        // Whether it takes our certificate is said after the handshake.
        (Some(_), _) => refused(&error),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => PeerProblem::Silent,
        _ => PeerProblem::NoRoutePort,
    })?;
    check_info(&info, config)?;
    log_in(&mut stream, login).await?;
    Ok(PeerFound { name: info.server_name, version: info.version, certificate_expires })
}

fn check_info(info: &RouteInfo, config: &ClusterConfig) -> Result<(), PeerProblem> {
    if info.client_id.is_some() {
        return Err(PeerProblem::NoRoutePort);
    }
    if info.cluster != config.cluster.as_str() {
        return Err(PeerProblem::OtherCluster(info.cluster.clone()));
    }
    if info.server_name == config.node.as_str() {
        return Err(PeerProblem::SameName(info.server_name.clone()));
    }
    Ok(())
}

fn server_name(host: &str) -> Result<ServerName<'static>, PeerProblem> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(host.to_owned())
        .map_err(|_| PeerProblem::Odd(format!("{host} is no name that a certificate could be for")))
}

#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    user: Option<&'a str>,
    pass: Option<&'a str>,
    /// What makes it a client and no route.
    lang: &'a str,
    name: &'a str,
}

async fn log_in<S>(stream: &mut BufReader<S>, login: Option<&RouteLogin>) -> Result<(), PeerProblem>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connect = Connect {
        verbose: false,
        pedantic: false,
        user: login.map(|login| login.user.as_str()),
        pass: login.map(|login| login.secret.expose()),
        lang: "doctor",
        name: "membershipd doctor",
    };
    // Large enough to never grow: growing would leave copies of the secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(4 * 1024));
    text.extend_from_slice(b"CONNECT ");
    serde_json::to_writer(&mut *text, &connect).map_err(|error| PeerProblem::Odd(error.to_string()))?;
    text.extend_from_slice(b"\r\n");
    write(stream.get_mut(), &text).await.map_err(|error| refused(&error))?;
    loop {
        let Some(line) = read_line(stream).await.map_err(|error| refused(&error))? else {
            return Err(PeerProblem::Odd("it closes the connection without a word".to_owned()));
        };
        let Some(said) = line.strip_prefix("-ERR ") else { continue };
        let said = said.trim_matches('\'');
        return match said.to_ascii_lowercase() {
            said if said.contains(WRONG_PORT) => Ok(()),
            said if said.contains(NOT_LET_IN) => Err(PeerProblem::OtherSecret),
            _ => Err(PeerProblem::Odd(said.to_owned())),
        };
    }
}

/// What a peer that has seen our certificate says about it comes after the handshake.
fn refused(error: &io::Error) -> PeerProblem {
    match tls_error(error) {
        Some(TlsError::AlertReceived(alert)) => PeerProblem::OursRefused(alert_text(*alert)),
        _ => PeerProblem::Odd(error.to_string()),
    }
}

fn tls_problem(error: &io::Error, host: &str) -> PeerProblem {
    match tls_error(error) {
        Some(TlsError::AlertReceived(alert)) => PeerProblem::OursRefused(alert_text(*alert)),
        Some(TlsError::InvalidCertificate(problem)) => {
            PeerProblem::Certificate(certificate_text(problem, host))
        }
        _ => PeerProblem::Odd(error.to_string()),
    }
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

fn alert_text(alert: AlertDescription) -> String {
    format!("{alert:?}")
}

fn certificate_text(problem: &TlsCertificateError, host: &str) -> String {
    match problem {
        TlsCertificateError::UnknownIssuer | TlsCertificateError::BadSignature => {
            "another authority has made: every node's has to come from the one in --route-tls-ca".to_owned()
        }
        TlsCertificateError::Expired | TlsCertificateError::ExpiredContext { .. } => {
            "has expired: renew it with `membershipd gen-cluster-certs --renew`".to_owned()
        }
        TlsCertificateError::NotValidYet | TlsCertificateError::NotValidYetContext { .. } => {
            "is not valid yet: are both machines' clocks right?".to_owned()
        }
        TlsCertificateError::NotValidForName | TlsCertificateError::NotValidForNameContext { .. } => {
            format!(
                "is not made for {host}: add it to the list of nodes and renew, or name the node in --routes as its certificate does"
            )
        }
        other => format!("cannot be used: {other:?}"),
    }
}
