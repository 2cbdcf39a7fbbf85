//! Configurations of nodes on this machine.

use std::{net::SocketAddr, path::Path};

use busauth::AuthMode;
use cluster::{ClusterConfig, ExecHelper, Limits, Replicas, RouteLogin, RouteUser, Sync};

/// The secret of routes in tests.
pub(crate) const SECRET: &str = "a-secret-that-nobody-guesses";

/// A node without peers.
pub(crate) fn alone(node: &str, store: &Path) -> ClusterConfig {
    ClusterConfig {
        cluster: "members".parse().unwrap(),
        node: node.parse().unwrap(),
        client_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        client_tls: None,
        client_ca: None,
        route_listen: SocketAddr::from(([127, 0, 0, 1], 6250)),
        routes: Vec::new(),
        route_login: None,
        route_tls: None,
        auth: AuthMode::Enforce,
        replicas: Replicas::ONE,
        store: store.to_owned(),
        sync: Sync::Always,
        limits: Limits::default(),
        nats_server: "nats-server".into(),
        exec_helper: ExecHelper { program: "helper".into(), arguments: Vec::new() },
    }
}

/// How nodes log in to each other.
pub(crate) fn login() -> RouteLogin {
    RouteLogin { user: RouteUser::default(), secret: SECRET.parse().unwrap() }
}
