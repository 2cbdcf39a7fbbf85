//! The text that nats-server gets, beside files that say what it should be.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::SystemTime,
};

use busauth::AuthMode;
use serde_json::Value;

use super::*;
use crate::{
    ClusterConfig, ExecHelper, Limits, PairFiles, PkiJob, Replicas, RouteLogin, RouteTlsFiles, clear,
    make_certificates,
};

const ALONE: &str = include_str!("golden/alone.json");
const OF_THREE: &str = include_str!("golden/of_three.json");

/// The files that a golden text names, in the order of [`files`].
const PLACES: [&str; 5] =
    ["/fd/route.crt", "/fd/route.key", "/fd/route-ca.crt", "/fd/client.crt", "/fd/client.key"];

fn alone() -> ClusterConfig {
    ClusterConfig {
        cluster: "members".parse().unwrap(),
        node: "node-1".parse().unwrap(),
        client_listen: SocketAddr::from(([127, 0, 0, 1], 4250)),
        client_tls: None,
        client_ca: None,
        route_listen: SocketAddr::from(([0, 0, 0, 0], 6250)),
        routes: Vec::new(),
        route_login: None,
        route_tls: None,
        auth: AuthMode::Enforce,
        replicas: Replicas::ONE,
        store: "/var/lib/unibus/jetstream".into(),
        sync: Sync::Always,
        limits: Limits::default(),
        nats_server: "nats-server".into(),
        exec_helper: ExecHelper { program: "helper".into(), arguments: Vec::new() },
    }
}

fn of_three(certificates: &Path) -> ClusterConfig {
    let [certificate, key, authority, client_certificate, client_key] = files(certificates);
    let secret = "route-0123456789abcdef";
    ClusterConfig {
        client_listen: SocketAddr::from(([0, 0, 0, 0], 4250)),
        client_tls: Some(PairFiles { certificate: client_certificate, key: client_key }),
        routes: vec![
            "nats://203.0.113.12".parse().unwrap(),
            "nats://own:a-secret-of-its-own@node-3.example.net:7000".parse().unwrap(),
        ],
        route_login: Some(RouteLogin { user: "route".parse().unwrap(), secret: secret.parse().unwrap() }),
        route_tls: Some(RouteTlsFiles { pair: PairFiles { certificate, key }, authority }),
        replicas: Replicas::THREE,
        sync: Sync::Every(std::time::Duration::from_mins(2)),
        ..alone()
    }
}

/// A pair for routes and, of another authority, one for clients.
fn make_files(directory: &Path) {
    let topology = "CLUSTER_NAME=members\nNODES=node-1\nNODE_1_PUBLIC=127.0.0.1".parse().unwrap();
    for part in ["routes", "clients"] {
        let directory = &directory.join(part);
        let now = SystemTime::now();
        make_certificates(&PkiJob { topology: &topology, directory, renew: false, client_ca: None, now })
            .unwrap();
    }
}

fn files(directory: &Path) -> [PathBuf; 5] {
    [
        "routes/node-1/route.crt",
        "routes/node-1/route.key",
        "routes/node-1/cluster-ca.crt",
        "clients/node-1/route.crt",
        "clients/node-1/route.key",
    ]
    .map(|name| directory.join(name))
}

fn rendered(config: ClusterConfig) -> String {
    let listen = config.client_listen;
    let cleared = clear(config, SystemTime::now()).unwrap();
    let [route_certificate, route_key, route_authority, client_certificate, client_key] = PLACES;
    let places = Places {
        client_listen: listen,
        run_directory: Path::new("/run/unibus"),
        route_certificate,
        route_key,
        route_authority,
        client_certificate,
        client_key,
    };
    let text = render(&cleared, &ServiceKeys::for_test(), &places);
    String::from_utf8(text.to_vec()).unwrap()
}

#[track_caller]
fn compare(text: &str, golden: &str) {
    assert_eq!(text.trim(), golden.trim(), "the configuration differs from its golden file");
}

#[test]
fn a_node_without_peers_has_no_cluster() {
    let text = rendered(alone());
    compare(&text, ALONE);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(document.get("cluster").is_none());
}

#[test]
fn a_node_of_three_has_routes_with_mutual_tls_and_keeps_logins_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    make_files(directory.path());
    let text = rendered(of_three(directory.path()));
    compare(&text, OF_THREE);
    let document: Value = serde_json::from_str(&text).unwrap();
    for direction in ["import", "export"] {
        let denied = &document["cluster"]["permissions"][direction]["deny"];
        assert_eq!(denied, &serde_json::json!([AUTH_REQUESTS]), "{direction}");
    }
    assert_eq!(document["cluster"]["tls"]["verify"], true);
}

#[test]
fn every_service_identity_logs_in_without_being_asked_about() {
    let document: Value = serde_json::from_str(ALONE).unwrap();
    let mut users = Vec::new();
    for account in document["accounts"].as_object().unwrap().values() {
        users.extend(account["users"].as_array().unwrap().iter().map(|user| user["nkey"].clone()));
    }
    assert_eq!(users.len(), 4);
    for user in users {
        let asked = &document["authorization"]["auth_callout"]["auth_users"];
        assert!(asked.as_array().unwrap().contains(&user), "{user}");
    }
}

/// What nats-server itself says about the golden files.
#[test]
fn nats_server_takes_the_golden_files() {
    let Some(server) = crate::fixtures::nats_server() else { return };
    let directory = tempfile::tempdir().unwrap();
    make_files(directory.path());
    for golden in [ALONE, OF_THREE] {
        let mut text = golden.to_owned();
        for (place, file) in PLACES.iter().zip(files(directory.path())) {
            text = text.replace(place, file.to_str().unwrap());
        }
        let config = directory.path().join("nats.json");
        fs::write(&config, &text).unwrap();
        let (accepted, said) = crate::fixtures::check(&server, &config);
        assert!(accepted, "{said}");
        // It would also say if it did not look.
        fs::write(&config, text.replace("\"ping_max\"", "\"ping_most\"")).unwrap();
        let (accepted, said) = crate::fixtures::check(&server, &config);
        assert!(!accepted && said.contains("ping_most"), "{said}");
    }
}

#[test]
fn any_free_port_is_said_as_nats_server_says_it() {
    for (address, text) in [
        ("127.0.0.1:0", "127.0.0.1:-1"),
        ("[::1]:0", "[::1]:-1"),
        ("0.0.0.0:4250", "0.0.0.0:4250"),
        ("[::]:4250", "[::]:4250"),
    ] {
        assert_eq!(listen(address.parse().unwrap()), text);
    }
}
