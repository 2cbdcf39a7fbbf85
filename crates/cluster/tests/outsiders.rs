//! Who is not one of the nodes does not become one, and learns why.

use cluster::{ClusterConfig, Node, RouteLogin, RouteTlsFiles, RouteUser, Stop};
use tempfile::TempDir;

use crate::support::{
    certificates::Certificates,
    config::{alone, login},
    nodes::{runnable, try_start, until},
    users::Users,
};

/// A node that dials another; `None` without a nats-server.
async fn start(
    name: &str,
    [own, peer]: [u16; 2],
    cluster: &str,
    route_login: RouteLogin,
    route_tls: RouteTlsFiles,
) -> Option<(Node, TempDir)> {
    let store = tempfile::tempdir().unwrap();
    let config = ClusterConfig {
        cluster: cluster.parse().unwrap(),
        route_listen: ([127, 0, 0, 1], own).into(),
        routes: vec![format!("nats://127.0.0.1:{peer}").parse().unwrap()],
        route_login: Some(route_login),
        route_tls: Some(route_tls),
        ..alone(name, store.path())
    };
    Some((try_start(runnable(config)?, &Users::new()).await.unwrap(), store))
}

#[tokio::test]
async fn another_secret_another_authority_or_another_cluster_is_turned_away() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let [own, peer] = nats_testkit::free_ports();
    let Some((node, _store)) =
        start("node-1", [own, peer], "members", login(), certificates.of("node-1")).await
    else {
        return;
    };
    let other_login =
        RouteLogin { user: RouteUser::default(), secret: "not-the-secret-of-the-others".parse().unwrap() };
    for (cluster, login, tls, reasons) in [
        (
            "members",
            other_login,
            certificates.of("node-2"),
            ["authentication error", "Authorization Violation"],
        ),
        ("members", login(), others.of("node-2"), ["unknown authority", "bad certificate"]),
        ("strangers", login(), certificates.of("node-2"), ["cluster name", "cluster name"]),
    ] {
        let (outsider, _store) = start("node-2", [peer, own], cluster, login, tls).await.unwrap();
        // Which of them it hears depends on who dials first.
        let said = until(&outsider, reasons[0], |state| {
            let problem = state.route_problem.as_deref().unwrap_or_default();
            reasons.iter().any(|reason| problem.contains(reason))
        });
        assert_eq!((said.await.routes, node.state().borrow().routes), (0, 0), "{reasons:?}");
        outsider.stop(Stop::Now).await;
    }
    // One of its own is let in by the same node.
    let (second, _store) =
        start("node-2", [peer, own], "members", login(), certificates.of("node-2")).await.unwrap();
    until(&node, "a route", |state| state.routes > 0).await;
    second.stop(Stop::Now).await;
    node.stop(Stop::Now).await;
}
