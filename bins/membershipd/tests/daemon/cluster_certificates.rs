//! `membershipd gen-cluster-certs`, as the operator of a cluster uses it.

use std::fs;

use super::harness::{Failed, Place, mode};

const EXAMPLE: &str = include_str!("../../../../deploy/cluster/nodes.env.example");

#[tokio::test]
async fn certificates_come_from_the_list_of_nodes() {
    let place = Place::new();
    let missing = place.command(&["gen-cluster-certs"]).output().await.unwrap();
    Failed::of(&missing).says(2, &["deploy/cluster/nodes.env", "nodes.env.example"]);

    fs::write(place.path("nodes.env"), EXAMPLE).unwrap();
    let make = async |more: &[&str]| {
        let arguments = [&["gen-cluster-certs", "--nodes", "nodes.env", "--out", "made"], more].concat();
        place.command(&arguments).output().await.unwrap()
    };
    let first = make(&[]).await;
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let said = String::from_utf8(first.stdout).unwrap();
    for part in ["authority  new", "node-1  new", "node-3  new", "until 2"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(mode(&place.path("made/node-2/route.key")), 0o600);

    let again = String::from_utf8(make(&["--renew"]).await.stdout).unwrap();
    assert!(again.contains("authority  kept") && again.contains("node-2  new"), "{again}");
    let refused = make(&["--client-ca", "made/ca/cluster-ca.crt"]).await;
    Failed::of(&refused).says(1, &["the authority of clients", "one of their own"]);
}
