//! `membershipd gen-cluster-certs` and `gen-bus-certs`, as the operator of a cluster uses them.

use std::fs;

use busauth::{client_config_from_ca_file, client_config_pinned};

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

#[tokio::test]
async fn every_node_gets_its_settings_and_the_secret_they_share() {
    let place = Place::new();
    fs::write(place.path("nodes.env"), EXAMPLE).unwrap();
    let make = async |more: &[&str]| {
        let arguments = [&["gen-cluster-certs", "--nodes", "nodes.env", "--out", "made"], more].concat();
        let output = place.command(&arguments).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let secret = |node: &str| fs::read_to_string(place.path(&format!("made/{node}/route.secret"))).unwrap();
    let said = make(&[]).await;
    assert!(said.contains("secret     new") && said.contains("node-3/node.env"), "{said}");
    let first = secret("node-1");
    assert!(first.trim().len() == 64 && first == secret("node-3") && !said.contains(first.trim()), "{said}");
    assert_eq!(mode(&place.path("made/node-2/route.secret")), 0o600);

    let settings = fs::read_to_string(place.path("made/node-2/node.env")).unwrap();
    for line in [
        "UNIBUS_CLUSTER_NAME=unibus",
        "UNIBUS_SERVER_NAME=node-2",
        "UNIBUS_ROUTES=nats://203.0.113.11:6250,nats://203.0.113.13:6250",
        "UNIBUS_KV_REPLICAS=3",
        "UNIBUS_PUBLIC_NAME=203.0.113.12,node-2.example.net",
    ] {
        assert!(settings.lines().any(|found| found == line), "{line} is missing in {settings}");
    }
    assert!(!settings.contains(first.trim()));

    assert!(make(&["--renew"]).await.contains("secret     kept"));
    assert_eq!(secret("node-1"), first, "certificates and secret are renewed apart");
    assert!(make(&["--new-secret"]).await.contains("node-1  kept"));
    assert!(secret("node-1") != first && secret("node-1") == secret("node-2"));
}

#[tokio::test]
async fn clients_trust_an_authority_that_is_not_that_of_nodes() {
    let place = Place::new();
    fs::write(place.path("nodes.env"), EXAMPLE).unwrap();
    let make = async |arguments: &[&str]| {
        let arguments = [arguments, &["--nodes", "nodes.env"]].concat();
        place.command(&arguments).output().await.unwrap()
    };
    make(&["gen-cluster-certs", "--out", "routes"]).await;
    let bus = ["gen-bus-certs", "--out", "tls", "--route-ca", "routes/ca/cluster-ca.crt"];
    let first = make(&bus).await;
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let said = String::from_utf8(first.stdout).unwrap();
    assert!(said.contains("node-2  new") && said.contains("--ca-fingerprint"), "{said}");
    assert_eq!(mode(&place.path("tls/node-2/server.key")), 0o600);
    let again = String::from_utf8(make(&bus).await.stdout).unwrap();
    assert_eq!(again, said.replace("new ", "kept"));

    let mixed =
        make(&["gen-cluster-certs", "--out", "routes", "--client-ca", "routes/ca/cluster-ca.crt"]).await;
    Failed::of(&mixed).says(1, &["the authority of clients"]);
    let apart = make(&["gen-cluster-certs", "--out", "routes", "--client-ca", "tls/ca/bus-ca.crt"]).await;
    assert!(apart.status.success());
    let mixed = make(&["gen-bus-certs", "--out", "tls", "--route-ca", "tls/ca/bus-ca.crt"]).await;
    Failed::of(&mixed).says(1, &["the authority of clients"]);

    // A bus that shows one of these certificates is believed by whoever pins their authority.
    let arguments = ["--tls-cert", "tls/node-1/server.crt", "--tls-key", "tls/node-1/server.key"];
    let daemon = place.start(&arguments).await;
    let pin = said.split("--ca-fingerprint ").nth(1).unwrap().lines().next().unwrap();
    for trust in [
        client_config_pinned(pin.parse().unwrap()).unwrap(),
        client_config_from_ca_file(&place.path("tls/node-1/bus-ca.crt")).unwrap(),
    ] {
        let client = reqwest::Client::builder().tls_backend_preconfigured(trust).build().unwrap();
        let health = client.get(format!("{}/healthz", daemon.control())).send().await.unwrap();
        assert_eq!(health.status(), 200);
    }
    daemon.stop_cleanly().await;
}
