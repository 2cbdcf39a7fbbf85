//! Peers looked at before a node is started.

use std::time::{Duration, SystemTime};

use cluster::{ClusterConfig, RouteLogin, RouteUser, clear, dial_peers};

use crate::support::{certificates::Certificates, nodes::until, pair::Pair, within};

/// What is wrong with a newcomer.
type Change<'a> = &'a dyn Fn(&mut ClusterConfig);

#[tokio::test]
async fn dialling_the_peers_says_what_is_wrong_with_each_and_makes_no_route() {
    let Some(pair) = Pair::start().await else { return };
    let routes = pair.nodes[1].state().borrow().routes;
    let dial = async |change: &dyn Fn(&mut ClusterConfig)| {
        let mut config = pair.configs[0].clone();
        config.node = "node-3".parse().unwrap();
        change(&mut config);
        let cleared = clear(config, SystemTime::now()).unwrap();
        let (route, found) = within("an answer", dial_peers(&cleared)).await.remove(0);
        found.map_err(|problem| format!("{route} {problem}"))
    };
    let found = dial(&|_| {}).await.unwrap();
    assert_eq!(found.name, "node-2");
    let left = found.certificate_expires.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_hours(24 * 390), "{left:?}");

    let strangers = Certificates::new();
    let [nobody] = nats_testkit::free_ports();
    let peer = pair.configs[0].routes[0].port();
    let to = |host: &str, port: u16| vec![format!("nats://{host}:{port}").parse().unwrap()];
    let other =
        RouteLogin { user: RouteUser::default(), secret: "another-secret-of-nobody".parse().unwrap() };
    let wrong: [(Change<'_>, &str); 8] = [
        (&|node| node.routes = to("127.0.0.1", nobody), "cannot be reached"),
        (&|node| node.routes = to("localhost", peer), "not made for localhost"),
        (&|node| node.routes = to("127.0.0.1", pair.address(1).port()), "no nats-server's route port"),
        (&|node| node.route_login = Some(other.clone()), "another secret"),
        (&|node| node.cluster = "others".parse().unwrap(), "belongs to the cluster \"members\""),
        (&|node| node.node = "node-2".parse().unwrap(), "calls itself node-2"),
        (&|node| node.route_tls = Some(strangers.of("node-3")), "another authority has made"),
        (&|node| node.route_tls = None, "wants TLS"),
    ];
    for (change, text) in wrong {
        let said = dial(change).await.unwrap_err();
        assert!(said.contains(text), "{text}: {said}");
    }
    // Nobody has become a member by that.
    until(&pair.nodes[1], "one peer", |state| state.routes == routes).await;
    pair.stop().await;
}
