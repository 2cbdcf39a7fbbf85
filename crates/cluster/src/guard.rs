//! The door between a configuration and a running node: [`clear`] finds everything that is wrong with it at once, and
//! only what it lets through can be rendered or started.

use std::{fmt, time::SystemTime};

use crate::{
    certificate::{CertificateError, Certificates, Pair},
    config::{ClusterConfig, Replicas},
};

/// A configuration without violations, with the certificates it names.
pub struct Cleared {
    config: ClusterConfig,
    route: Option<RouteMaterial>,
    client: Option<Pair>,
}

/// What routes are secured with.
pub(crate) struct RouteMaterial {
    pub(crate) pair: Pair,
    pub(crate) authority: Certificates,
}

/// Something that must not be. Each text says what to set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A node among others that does not check requests would be their weakest part.
    #[error("a node of a cluster has to check every request: set --bus-auth enforce")]
    NotEnforced,
    /// Routes that leave the machine without TLS.
    #[error(
        "routes leave this machine, so nodes have to prove themselves by certificate: set --route-tls-cert, --route-tls-key and --route-tls-ca (`membershipd gen-cluster-certs` makes them)"
    )]
    PublicRoutesWithoutTls,
    /// Routes that anybody could join.
    #[error(
        "nodes have to log in to each other: set --cluster-pass-file to a file that holds the same secret on every node"
    )]
    NoRouteLogin,
    /// One authority for clients and nodes.
    #[error(
        "{what} and the route authority belong together: a certificate made for clients would open the routes; make an authority for the routes alone (`membershipd gen-cluster-certs`)"
    )]
    SharedAuthority {
        /// What has to do with the route authority.
        what: &'static str,
    },
    /// More copies than nodes.
    #[error(
        "{replicas} replicas need {replicas} nodes, and {nodes} are named: add --routes or lower --kv-replicas"
    )]
    TooManyReplicas {
        /// Copies asked for.
        replicas: Replicas,
        /// Nodes that can be there.
        nodes: usize,
    },
    /// One port for two purposes.
    #[error("clients and routes cannot share port {0}: set --nats-port or --cluster-port")]
    SamePort(u16),
    /// Peers have to know the port.
    #[error("peers have to know the route port: set --cluster-port to one that is not 0")]
    NoRoutePort,
    /// A certificate, a key, or how they fit together.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Everything that is wrong with a configuration; at least one.
#[derive(Debug)]
pub struct Violations(Vec<Violation>);

/// Checks a configuration, reads the certificates it names, and finds all violations at once.
///
/// Reads files; call it before the runtime has other work.
pub fn clear(config: ClusterConfig, now: SystemTime) -> Result<Cleared, Violations> {
    let mut violations = Vec::new();
    if !config.auth.requires_signature() {
        violations.push(Violation::NotEnforced);
    }
    check_routes(&config, &mut violations);
    let route = note(route_material(&config, now), &mut violations).flatten();
    let client = note(client_pair(&config, now), &mut violations).flatten();
    let client_ca =
        note(config.client_ca.as_deref().map(Certificates::read).transpose(), &mut violations).flatten();
    if let Some(route) = &route {
        let clients = [
            ("the certificate authority of clients", client_ca.as_ref()),
            ("the certificate shown to clients", client.as_ref().map(|pair| &pair.certificates)),
        ];
        for (what, certificates) in clients {
            let related = certificates.map_or(Ok(false), |found| found.is_related_to(&route.authority));
            if note(related, &mut violations) == Some(true) {
                violations.push(Violation::SharedAuthority { what });
            }
        }
    }
    if violations.is_empty() { Ok(Cleared { config, route, client }) } else { Err(Violations(violations)) }
}

fn check_routes(config: &ClusterConfig, violations: &mut Vec<Violation>) {
    let nodes = config.routes.len() + 1;
    if config.replicas.get() > nodes {
        violations.push(Violation::TooManyReplicas { replicas: config.replicas, nodes });
    }
    if !config.has_peers() {
        // Nothing listens for routes, so nothing about them can be wrong yet.
        return;
    }
    if config.has_public_routes() && config.route_tls.is_none() {
        violations.push(Violation::PublicRoutesWithoutTls);
    }
    if config.route_login.is_none() {
        violations.push(Violation::NoRouteLogin);
    }
    match config.route_listen.port() {
        0 => violations.push(Violation::NoRoutePort),
        port if port == config.client_listen.port() => violations.push(Violation::SamePort(port)),
        _ => {}
    }
}

fn route_material(
    config: &ClusterConfig,
    now: SystemTime,
) -> Result<Option<RouteMaterial>, CertificateError> {
    let Some(files) = &config.route_tls else { return Ok(None) };
    let authority = Certificates::read(&files.authority)?;
    authority.check_authorities(now)?;
    let pair = Pair::read(&files.pair.certificate, &files.pair.key)?;
    pair.check_for_routes(&authority, now)?;
    Ok(Some(RouteMaterial { pair, authority }))
}

fn client_pair(config: &ClusterConfig, now: SystemTime) -> Result<Option<Pair>, CertificateError> {
    let Some(files) = &config.client_tls else { return Ok(None) };
    let pair = Pair::read(&files.certificate, &files.key)?;
    pair.check_validity(now)?;
    Ok(Some(pair))
}

fn note<T>(outcome: Result<T, CertificateError>, violations: &mut Vec<Violation>) -> Option<T> {
    outcome.map_err(|error| violations.push(error.into())).ok()
}

impl Cleared {
    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// When the certificate that this node shows its peers expires.
    pub fn route_certificate_expires(&self) -> Option<SystemTime> {
        self.route.as_ref().and_then(|route| route.pair.leaf().ok()).map(|leaf| leaf.not_after)
    }

    /// When the certificate that clients are shown expires.
    pub fn client_certificate_expires(&self) -> Option<SystemTime> {
        self.client.as_ref().and_then(|client| client.leaf().ok()).map(|leaf| leaf.not_after)
    }

    /// Whether a server that has the certificates of the one has those of the other.
    pub(crate) fn has_certificates_of(&self, other: &Self) -> bool {
        let route = |cleared: &Self| {
            cleared.route.as_ref().map(|route| (route.pair.pems(), route.authority.pem().to_owned()))
        };
        let client = |cleared: &Self| cleared.client.as_ref().map(Pair::pems);
        route(self) == route(other) && client(self) == client(other)
    }

    pub(crate) fn route(&self) -> Option<&RouteMaterial> {
        self.route.as_ref()
    }

    pub(crate) fn client(&self) -> Option<&Pair> {
        self.client.as_ref()
    }
}

impl Violations {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cluster configuration cannot be used:")?;
        self.0.iter().try_for_each(|violation| write!(f, "\n  - {violation}"))
    }
}

impl std::error::Error for Violations {}

impl fmt::Debug for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
