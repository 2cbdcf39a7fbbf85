//! Two nodes with certificates.

use std::{net::SocketAddr, sync::Arc};

use cluster::{ClusterConfig, JetStreamState, Node, ReloadError, Reloaded, Stop};
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use super::{
    certificates::Certificates,
    client::shown_to_clients,
    config::{alone, login},
    nodes::{runnable, try_start, until},
    users::Users,
    within,
};

/// Two nodes with certificates for clients and for each other.
pub(crate) struct Pair {
    pub(crate) nodes: Vec<Node>,
    pub(crate) configs: Vec<ClusterConfig>,
    pub(crate) users: Arc<Users>,
    pub(crate) routes: Certificates,
    pub(crate) clients: Certificates,
    pub(crate) stores: [TempDir; 2],
}

const NAMES: [&str; 2] = ["node-1", "node-2"];

impl Pair {
    pub(crate) async fn start() -> Option<Self> {
        let (routes, clients) = (Certificates::new(), Certificates::new());
        let ports: [u16; 2] = nats_testkit::free_ports();
        let stores = NAMES.map(|_| tempfile::tempdir().unwrap());
        let users = Users::new();
        let (mut nodes, mut configs) = (Vec::new(), Vec::new());
        for (index, name) in NAMES.into_iter().enumerate() {
            let config = runnable(ClusterConfig {
                client_tls: Some(clients.of(name).pair),
                route_listen: ([127, 0, 0, 1], ports[index]).into(),
                routes: vec![format!("nats://127.0.0.1:{}", ports[1 - index]).parse().unwrap()],
                route_login: Some(login()),
                route_tls: Some(routes.of(name)),
                ..alone(name, stores[index].path())
            })?;
            nodes.push(try_start(config.clone(), &users).await.unwrap());
            configs.push(config);
        }
        let pair = Self { nodes, configs, users, routes, clients, stores };
        for node in &pair.nodes {
            pair.until_joined(node).await;
        }
        Some(pair)
    }

    pub(crate) async fn until_joined(&self, node: &Node) {
        until(node, "a cluster", |state| state.jetstream == JetStreamState::Ready && state.routes > 0).await;
    }

    pub(crate) async fn reload(&self, node: usize) -> Result<Reloaded, ReloadError> {
        within("a reload", self.nodes[node].reloader().reload()).await
    }

    /// What clients of a node are shown.
    pub(crate) async fn shown(&self, node: usize) -> CertificateDer<'static> {
        shown_to_clients(self.address(node), &self.clients.authority()).await
    }

    pub(crate) fn address(&self, node: usize) -> SocketAddr {
        self.nodes[node].client_address()
    }

    pub(crate) async fn stop(self) {
        for node in self.nodes {
            node.stop(Stop::Now).await;
        }
    }
}
