//! `nodes.env`: which nodes a cluster has and where they are.
//!
//! Lines of `KEY=value`, as a shell would read them; values may be quoted, `#` begins a comment:
//!
//! ```text
//! CLUSTER_NAME=unibus
//! ROUTE_NETWORK=public           # routes use the public addresses, or: private
//! ROUTE_PORT=6250
//! KV_REPLICAS=3
//! NODES="node-1 node-2 node-3"
//! NODE_1_PUBLIC="203.0.113.11 node-1.example.net"
//! NODE_1_PRIVATE="10.0.0.11"
//! …
//! ```
//!
//! A node's keys begin with its name in capitals, `-` written as `_`. Of several names and addresses the first is the
//! one that peers dial; the certificate is made for all of them.

mod parse;

use std::{fmt, net::IpAddr, str::FromStr};

use crate::{
    config::Replicas,
    names::{ClusterName, NodeName},
    route_url::is_host_name,
};

/// A cluster and its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The cluster.
    pub cluster: ClusterName,
    /// Which of their addresses nodes dial.
    pub network: RouteNetwork,
    /// Where all of them accept routes.
    pub route_port: u16,
    /// How often data is kept.
    pub replicas: Replicas,
    /// The nodes; at least one, each name once.
    pub nodes: Vec<NodeAddresses>,
}

/// Which of their addresses nodes dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteNetwork {
    /// Those that clients use, too: the nodes have no network of their own.
    Public,
    /// Those of a network that only nodes are in.
    Private,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddresses {
    /// The node.
    pub name: NodeName,
    /// Where everybody reaches it.
    pub public: Vec<Host>,
    /// Where nodes reach it on a network of their own.
    pub private: Vec<Host>,
}

/// A host name or an address, as it is dialled and as it stands in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name.
    Name(String),
}

/// The text is neither a name nor an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a host name nor an address")]
pub struct HostError;

/// Everything that is wrong with a `nodes.env`; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyErrors(Vec<TopologyError>);

/// Something that is wrong with a `nodes.env`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// A line that is no `KEY=value`.
    #[error("line {0}: write KEY=value")]
    Line(usize),
    /// A key nobody knows, most likely mistyped.
    #[error(
        "line {line}: {key} means nothing here; a node's keys are its name in capitals with _PUBLIC or _PRIVATE"
    )]
    UnknownKey {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key that is there twice.
    #[error("line {line}: {key} was set before")]
    Repeated {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key that has to be there.
    #[error("{0} is missing")]
    Missing(String),
    /// A value that cannot be used.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two nodes of one name, or of names that lead to one key.
    #[error("NODES: {0} is named twice, or another name leads to the same keys")]
    SameNode(NodeName),
    /// More copies than nodes.
    #[error("KV_REPLICAS: {replicas} replicas need {replicas} nodes, and NODES has {nodes}")]
    TooManyReplicas {
        /// Copies.
        replicas: Replicas,
        /// Nodes.
        nodes: usize,
    },
}

impl Topology {
    /// Where the peers of a node accept routes, as `--routes` takes it.
    pub fn routes_of(&self, node: &NodeName) -> Vec<String> {
        let peers = self.nodes.iter().filter(|peer| peer.name != *node);
        peers.map(|peer| format!("nats://{}:{}", peer.dialled(self.network), self.route_port)).collect()
    }
}

impl NodeAddresses {
    /// What peers dial.
    pub fn dialled(&self, network: RouteNetwork) -> &Host {
        // Parsing has seen to it that there is one.
        match network {
            RouteNetwork::Public => &self.public[0],
            RouteNetwork::Private => &self.private[0],
        }
    }

    /// Every name and address, each once.
    pub fn all(&self) -> Vec<&Host> {
        let mut all: Vec<&Host> = Vec::new();
        for host in self.public.iter().chain(&self.private) {
            if !all.contains(&host) {
                all.push(host);
            }
        }
        all
    }

    /// What this node's keys begin with.
    fn key(name: &NodeName) -> String {
        name.as_str().to_ascii_uppercase().replace('-', "_")
    }
}

impl TopologyErrors {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &TopologyError> {
        self.0.iter()
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        // A name of digits and dots is a mistyped address.
        let address_like = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_host_name(text) && !address_like {
            Ok(Self::Name(text.to_ascii_lowercase()))
        } else {
            Err(HostError)
        }
    }
}

/// As in a URL: an IPv6 address in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for TopologyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list of nodes cannot be used:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl std::error::Error for TopologyErrors {}

#[cfg(test)]
mod tests;
