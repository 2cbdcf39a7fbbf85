//! What a list of nodes says, and what is wrong with it.

use super::*;

const EXAMPLE: &str = include_str!("../../../../deploy/cluster/nodes.env.example");

#[test]
fn the_example_that_ships_is_a_cluster_of_three() {
    let topology: Topology = EXAMPLE.parse().unwrap();
    assert_eq!(topology.replicas, Replicas::THREE);
    assert_eq!(topology.network, RouteNetwork::Public);
    let names: Vec<_> = topology.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["node-1", "node-2", "node-3"]);
    let routes = topology.routes_of(&"node-2".parse().unwrap());
    assert_eq!(routes, ["nats://203.0.113.11:6250", "nats://203.0.113.13:6250"]);
}

#[test]
fn nodes_dial_each_other_on_the_network_they_are_told() {
    let text = "CLUSTER_NAME=c\nROUTE_NETWORK=private # a mesh\nROUTE_PORT=7000\nNODES=a,b\n\
                A_PUBLIC='192.0.2.1 a.example'\nA_PRIVATE=10.0.0.1\nB_PUBLIC=192.0.2.2\nB_PRIVATE=\"fd00::2, 192.0.2.2\"\n";
    let topology: Topology = text.parse().unwrap();
    assert_eq!(topology.routes_of(&"a".parse().unwrap()), ["nats://[fd00::2]:7000"]);
    let all: Vec<_> = topology.nodes[1].all().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["192.0.2.2", "[fd00::2]"], "each once");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "CLUSTER_NAME=a.b\nROUTE_NETWORK=mesh\nROUTE_PORT=0\nKV_REPLICAS=2\nNODES=\"n-1 n_1 n-2\"\n\
                N_1_PUBLIC=\"192.0.2\"\nN_2_PUBLC=192.0.2.2\nROUTE_PORT=6250\nwhat is this\nQUOTED=\"open\n";
    let errors = text.parse::<Topology>().unwrap_err().to_string();
    for part in [
        "CLUSTER_NAME: a name is",
        "ROUTE_NETWORK: write public or private",
        "line 8: ROUTE_PORT was set before",
        "KV_REPLICAS: the number of replicas is 1, 3 or 5",
        "NODES: n_1 is named twice",
        "N_1_PUBLIC: \"192.0.2\" is neither",
        "N_2_PUBLIC is missing",
        "line 7: N_2_PUBLC means nothing here",
        "line 9: write KEY=value",
        "line 10: write KEY=value",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    let too_many =
        "CLUSTER_NAME=c\nNODES=a\nA_PUBLIC=192.0.2.1\nKV_REPLICAS=3".parse::<Topology>().unwrap_err();
    assert!(matches!(too_many.iter().next(), Some(TopologyError::TooManyReplicas { nodes: 1, .. })));
}
