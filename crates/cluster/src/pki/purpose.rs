//! What sets the certificates of routes apart from those of clients.

use std::net::{Ipv4Addr, Ipv6Addr};

use rcgen::ExtendedKeyUsagePurpose;

use crate::{
    names::{ClusterName, NodeName},
    topology::Host,
};

/// Who verifies a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Other nodes.
    Routes,
    /// Clients.
    Clients,
}

impl Purpose {
    /// What the authority's files are called.
    pub(super) fn authority(self) -> &'static str {
        match self {
            Self::Routes => "cluster-ca",
            Self::Clients => "bus-ca",
        }
    }

    /// What a node's files are called.
    pub(super) fn pair(self) -> &'static str {
        match self {
            Self::Routes => "route",
            Self::Clients => "server",
        }
    }

    /// The authority's name.
    pub(super) fn of_authority(self, cluster: &ClusterName) -> String {
        match self {
            Self::Routes => format!("{cluster} cluster authority (unibus routes)"),
            Self::Clients => format!("{cluster} authority (unibus)"),
        }
    }

    /// The name of a node's certificate.
    pub(super) fn of_node(self, node: &NodeName) -> String {
        match self {
            Self::Routes => format!("{node} (unibus route)"),
            Self::Clients => format!("{node} (unibus)"),
        }
    }

    pub(super) fn usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            // Every node dials and is dialled.
            Self::Routes => vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            Self::Clients => vec![ExtendedKeyUsagePurpose::ServerAuth],
        }
    }

    /// What a certificate is good for besides the names in the list of nodes: whoever looks after a node asks it how it is
    /// from the node itself.
    pub(super) fn further_names(self) -> Vec<Host> {
        match self {
            Self::Routes => Vec::new(),
            Self::Clients => vec![
                Host::Name("localhost".to_owned()),
                Host::Address(Ipv4Addr::LOCALHOST.into()),
                Host::Address(Ipv6Addr::LOCALHOST.into()),
            ],
        }
    }
}
