//! The certificates of a cluster on this machine, made as an operator makes them.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use cluster::{PairFiles, PkiJob, RouteTlsFiles, Topology, make_certificates};
use tempfile::TempDir;

/// Certificates of three nodes on 127.0.0.1, gone with the value.
pub(crate) struct Certificates {
    directory: TempDir,
}

/// Three nodes on this machine.
pub(crate) fn topology() -> Topology {
    let nodes = "CLUSTER_NAME=members\nKV_REPLICAS=3\nNODES=\"node-1 node-2 node-3\"\n\
                 NODE_1_PUBLIC=127.0.0.1\nNODE_2_PUBLIC=127.0.0.1\nNODE_3_PUBLIC=127.0.0.1\n";
    nodes.parse().unwrap()
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let certificates = Self { directory: tempfile::tempdir().unwrap() };
        certificates.make(false);
        certificates
    }

    /// New pairs for all nodes, of the same authority.
    pub(crate) fn renew(&self) {
        self.make(true);
    }

    fn make(&self, renew: bool) {
        let job = PkiJob {
            topology: &topology(),
            directory: self.directory.path(),
            renew,
            client_ca: None,
            now: SystemTime::now(),
        };
        make_certificates(&job).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.path().join("ca/cluster-ca.crt")
    }

    /// The files that a node has.
    pub(crate) fn of(&self, node: &str) -> RouteTlsFiles {
        let directory = self.path().join(node);
        RouteTlsFiles {
            pair: PairFiles { certificate: directory.join("route.crt"), key: directory.join("route.key") },
            authority: directory.join("cluster-ca.crt"),
        }
    }
}
