//! What a node of a cluster is configured with. Every field is of a type that only holds what could be meant; what
//! does not fit together is found by [`clear`](crate::clear).

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use busauth::AuthMode;

use crate::{
    names::{ClusterName, NodeName},
    route_secret::RouteLogin,
    route_url::RouteUrl,
};

/// A node.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// What it is called there.
    pub node: NodeName,
    /// Where clients connect. Port 0 takes any free one, and keeps it as long as this process runs.
    pub client_listen: SocketAddr,
    /// The certificate that clients are shown; `None` is a data plane without TLS.
    pub client_tls: Option<PairFiles>,
    /// What clients trust, if that is known here: it must not be what nodes trust.
    pub client_ca: Option<PathBuf>,
    /// Where peers connect.
    pub route_listen: SocketAddr,
    /// The peers. Without any the node runs alone.
    pub routes: Vec<RouteUrl>,
    /// How nodes log in to each other.
    pub route_login: Option<RouteLogin>,
    /// The certificates of the routes; `None` is routes without TLS.
    pub route_tls: Option<RouteTlsFiles>,
    /// What is asked of requests on the control plane.
    pub auth: AuthMode,
    /// How often the bus's own data is kept.
    pub replicas: Replicas,
    /// The directory of JetStream, this node's alone.
    pub store: PathBuf,
    /// When a write is acknowledged.
    pub sync: Sync,
    /// What it may use.
    pub limits: Limits,
    /// The nats-server to run.
    pub nats_server: PathBuf,
    /// What starts it.
    pub exec_helper: ExecHelper,
}

/// A certificate chain and its key in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key, which only its owner may read.
    pub key: PathBuf,
}

/// The certificates of the routes: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTlsFiles {
    /// This node's pair.
    pub pair: PairFiles,
    /// The authority that made every node's.
    pub authority: PathBuf,
}

/// Some of the three files of route TLS are named and some are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("route TLS needs a certificate, its key and the authority: all three or none; missing: {missing}")]
pub struct PartialRouteTls {
    /// The first that is missing.
    missing: &'static str,
}

/// How often data is kept in a cluster: an odd number, since an even one stops as early as the odd one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replicas(u8);

/// Not a number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the number of replicas is 1, 3 or 5")]
pub struct ReplicasError;

/// When JetStream acknowledges a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// When it is on disk.
    Always,
    /// When the operating system has it, which is told to write this often.
    Every(Duration),
}

/// What a node may use, and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message.
    pub max_payload: u32,
    /// Bytes of memory for streams that are not on disk.
    pub max_memory: u64,
    /// Bytes on disk for streams.
    pub max_file: u64,
    /// How long a start waits for a server in the same directory to end: one whose supervisor was killed needs a moment to
    /// stop in good order.
    pub store_patience: Duration,
}

/// A program that calls [`launch`](crate::launch) with the arguments it gets after these: usually this one, with a
/// subcommand for the purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecHelper {
    /// The program.
    pub program: PathBuf,
    /// What makes it call that function.
    pub arguments: Vec<String>,
}

impl RouteTlsFiles {
    /// Takes all three files or none.
    pub fn from_parts(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        authority: Option<PathBuf>,
    ) -> Result<Option<Self>, PartialRouteTls> {
        match (certificate, key, authority) {
            (None, None, None) => Ok(None),
            (Some(certificate), Some(key), Some(authority)) => {
                Ok(Some(Self { pair: PairFiles { certificate, key }, authority }))
            }
            (None, _, _) => Err(PartialRouteTls { missing: "the certificate" }),
            (_, None, _) => Err(PartialRouteTls { missing: "the key" }),
            (_, _, None) => Err(PartialRouteTls { missing: "the authority" }),
        }
    }
}

impl Replicas {
    /// One copy: whoever loses its node has lost the data.
    pub const ONE: Self = Self(1);
    /// Three copies: one node may be lost.
    pub const THREE: Self = Self(3);

    /// The number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl TryFrom<u64> for Replicas {
    type Error = ReplicasError;

    fn try_from(number: u64) -> Result<Self, ReplicasError> {
        match number {
            1 => Ok(Self(1)),
            3 => Ok(Self(3)),
            5 => Ok(Self(5)),
            _ => Err(ReplicasError),
        }
    }
}

impl FromStr for Replicas {
    type Err = ReplicasError;

    fn from_str(text: &str) -> Result<Self, ReplicasError> {
        text.parse::<u64>().map_err(|_| ReplicasError)?.try_into()
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1024 * 1024,
            max_memory: 64 * 1024 * 1024,
            max_file: 4 * 1024 * 1024 * 1024,
            store_patience: Duration::from_secs(15),
        }
    }
}

impl ClusterConfig {
    /// Whether there is anybody to form a cluster with. nats-server refuses JetStream in a cluster without routes, so
    /// a node without peers is configured as one that stands alone.
    pub fn has_peers(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Whether routes leave this machine.
    pub fn has_public_routes(&self) -> bool {
        !crate::is_loopback(self.route_listen.ip()) || self.routes.iter().any(|route| !route.is_loopback())
    }

    /// What works and should not stay so.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.routes.iter().any(RouteUrl::carries_login) {
            warnings.push(
                "a route carries its secret: if it was given on the command line, everybody on this machine can \
                 see it; name the routes without it, and the secret in a file"
                    .to_owned(),
            );
        }
        if self.has_peers() && self.replicas == Replicas::ONE {
            warnings.push(
                "one replica is not high availability: when the node that has a stream is lost, every request \
                 that needs it fails until it is back; raise it to 3 when three nodes are there"
                    .to_owned(),
            );
        }
        if let Sync::Every(interval) = self.sync {
            warnings.push(format!(
                "synced every {} ms: a power failure loses what was acknowledged since",
                interval.as_millis()
            ));
        }
        warnings
    }
}
