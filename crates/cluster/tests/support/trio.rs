//! Three nodes that form a cluster.

use std::{path::Path, sync::Arc};

use busauth::Permissions;
use cluster::{ClusterConfig, JetStreamState, Node, Replicas, Stop};
use tempfile::TempDir;

use super::{
    certificates::Certificates,
    config::{alone, login},
    nodes::{runnable, try_start, until},
    users::{User, Users},
};

const NAMES: [&str; 3] = ["node-1", "node-2", "node-3"];

pub(crate) struct Trio {
    pub(crate) nodes: [Node; 3],
    /// Who may log in where: each node knows its own.
    pub(crate) users: [Arc<Users>; 3],
    pub(crate) _stores: [TempDir; 3],
}

/// Three nodes with routes between them; `None` without a nats-server.
pub(crate) async fn start() -> Option<Trio> {
    start_in(None).await
}

/// The same with the third in a place of its own.
pub(crate) async fn start_in(third: Option<&Path>) -> Option<Trio> {
    let certificates = Certificates::new();
    let ports: [u16; 3] = nats_testkit::free_ports();
    let stores = NAMES.map(|_| tempfile::tempdir().unwrap());
    let users = NAMES.map(|_| Users::new());
    let mut nodes = Vec::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        let others = ports.iter().enumerate().filter(|(other, _)| *other != index);
        let routes = others.map(|(_, port)| format!("nats://127.0.0.1:{port}").parse().unwrap()).collect();
        let config = ClusterConfig {
            route_listen: ([127, 0, 0, 1], ports[index]).into(),
            routes,
            route_login: Some(login()),
            route_tls: Some(certificates.of(name)),
            replicas: Replicas::THREE,
            ..alone(name, third.filter(|_| index == 2).unwrap_or_else(|| stores[index].path()))
        };
        nodes.push(try_start(runnable(config)?, &users[index]).await.unwrap());
    }
    for node in &nodes {
        until(node, "a cluster", |state| state.jetstream == JetStreamState::Ready && state.routes > 0).await;
    }
    let nodes = nodes.try_into().unwrap_or_else(|_| panic!("three nodes"));
    Some(Trio { nodes, users, _stores: stores })
}

impl Trio {
    /// Somebody whom every node knows.
    pub(crate) fn add(&self, name: &str, permissions: &Permissions) -> User {
        let user = self.users[0].add(name, permissions);
        for others in &self.users[1..] {
            others.adopt(&user, permissions);
        }
        user
    }

    pub(crate) async fn stop(self) {
        for node in self.nodes {
            node.stop(Stop::Now).await;
        }
    }
}
