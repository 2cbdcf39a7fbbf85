//! `membershipd doctor`: what is wrong is said before a start finds out.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

use super::external::Nats;
use super::harness::{Place, within};
use super::nodes::{SECRET, nats_server};

/// Runs it with free ports unless others are given; the exit code, and what it found by name.
pub(crate) async fn doctor(place: &Place, arguments: &[&str]) -> (i32, String) {
    doctor_with(place, arguments, &HashMap::new()).await
}

async fn doctor_with(place: &Place, arguments: &[&str], variables: &HashMap<&str, String>) -> (i32, String) {
    let db = place.db().display().to_string();
    let mut all = vec!["doctor", "--db", &db];
    for (flag, value) in [("--http-port", "0"), ("--nats-port", "0")] {
        if !arguments.contains(&flag) {
            all.extend([flag, value]);
        }
    }
    all.extend(arguments);
    let running = place.command(&all).envs(variables).output();
    let Output { status, stdout, stderr } = within("word of the doctor", running).await.unwrap();
    let said = format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!said.contains("panicked"), "{said}");
    (status.code().unwrap(), said)
}

#[track_caller]
pub(crate) fn says(said: &str, verdict: &str, check: &str, text: &str) {
    let found = said.lines().any(|line| {
        line.strip_prefix(verdict).is_some_and(|line| line.trim_start().starts_with(check))
            && line.contains(text)
    });
    assert!(found, "{verdict} {check}: {text} is missing in:\n{said}");
}

#[tokio::test]
async fn a_single_node_is_looked_at_and_left_alone() {
    let place = Place::new();
    let (code, said) = doctor(&place, &[]).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", "configuration", "one node, users and rooms in sqlite");
    says(&said, "ok", "data directory", "made at the start");
    says(&said, "ok", "streams", "MiB free");
    says(&said, "ok", "clock", "plausible");
    assert!(!place.data().exists(), "nothing was made");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fs::create_dir(place.data()).unwrap();
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, said) = doctor(&place, &["--http-port", &port]).await;
    assert_eq!(code, 1, "{said}");
    says(&said, "FAILED", &format!("port {port}"), "in use by another program");
    says(&said, "FAILED", "data directory", "chmod 700");
    assert!(said.contains("2 of the checks failed"), "{said}");

    let (code, said) = doctor(&place, &["--bind", "0.0.0.0", "--bus-auth", "off", "--json"]).await;
    assert_eq!(code, 1, "{said}");
    let report: Value = serde_json::from_str(&said[..=said.rfind('}').unwrap()]).unwrap();
    assert_eq!(report["verdict"], "failed");
    assert_eq!(report["findings"][0]["check"], "configuration");
    assert!(report["findings"][0]["text"].as_str().unwrap().contains("--bus-auth enforce"), "{report}");
}

#[tokio::test]
async fn a_daemon_that_runs_has_its_ports() {
    let place = Place::new();
    let [control, data] = nats_testkit::free_ports().map(|port| port.to_string());
    let arguments = ["--http-port", control.as_str(), "--nats-port", &data];
    let daemon = place.start(&arguments).await;
    let (code, said) = doctor(&place, &arguments).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", "daemon", "it runs");
    says(&said, "ok", &format!("port {control}"), "in use, as it has to be");
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn the_certificate_has_to_be_for_the_names_that_clients_are_told() {
    let place = Place::new();
    let made = rcgen::generate_simple_self_signed(["bus.example.net".to_owned()]).unwrap();
    fs::write(place.path("server.crt"), made.cert.pem()).unwrap();
    fs::write(place.path("server.key"), made.signing_key.serialize_pem()).unwrap();
    let pair = ["--tls-cert", "server.crt", "--tls-key", "server.key"];
    let with = |more: [&'static str; 2]| [pair.as_slice(), &more].concat();

    let (code, said) = doctor(&place, &with(["--public-name", "bus.example.net"])).await;
    assert_eq!(code, 1, "{said}");
    says(&said, "FAILED", "certificate for clients", "chmod 600");
    fs::set_permissions(place.path("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let (code, said) = doctor(&place, &with(["--public-name", "bus.example.net"])).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", "certificate for clients", "for bus.example.net, until");
    let (code, said) = doctor(&place, &with(["--public-name", "bus.example.org"])).await;
    assert_eq!(code, 1, "{said}");
    says(&said, "FAILED", "certificate for clients", "is not for bus.example.org");
}

#[tokio::test]
async fn a_node_says_how_each_of_its_peers_is() {
    let Some(program) = nats_server() else { return };
    let program = program.display().to_string();
    let places = [Place::new(), Place::new(), Place::new()];
    let ports: [u16; 3] = nats_testkit::free_ports();
    let node = |index: usize| {
        let name = format!("node-{}", index + 1);
        let others = ports.iter().enumerate().filter(|(other, _)| *other != index);
        let routes: Vec<String> = others.map(|(_, port)| format!("nats://127.0.0.1:{port}")).collect();
        let port = ports[index].to_string();
        ["--cluster-name", "members", "--server-name", &name, "--nats-server", &program]
            .into_iter()
            .chain(["--cluster-port", &port, "--routes", &routes.join(",")])
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    let secret = |secret: &str| HashMap::from([("UNIBUS_CLUSTER_PASS", secret.to_owned())]);
    let look = async |index: usize, with: &str| {
        let arguments = node(index);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        doctor_with(&places[index], &arguments, &secret(with)).await
    };
    // Before anything runs the peers are not there yet, which is no failure.
    let (code, said) = look(0, SECRET).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", "nats-server", "2.");
    says(&said, "ok", "secret", "the environment");
    says(&said, "warning", &format!("peer 127.0.0.1:{}", ports[1]), "cannot be reached");

    let mut daemons = Vec::new();
    for index in [0, 1] {
        let arguments = node(index);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        daemons.push(places[index].spawn_with(&arguments, &secret(SECRET)));
    }
    for daemon in &mut daemons {
        daemon.wait_for("membershipd is ready").await;
    }
    let (code, said) = look(2, SECRET).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", &format!("peer 127.0.0.1:{}", ports[0]), "node-1, nats-server 2.");
    says(&said, "ok", &format!("peer 127.0.0.1:{}", ports[1]), "node-2, nats-server 2.");
    let (code, said) = look(2, "a-secret-of-another-cluster").await;
    assert_eq!(code, 1, "{said}");
    says(&said, "FAILED", &format!("peer 127.0.0.1:{}", ports[1]), "has another secret");
    for daemon in daemons {
        daemon.stop().await;
    }
}

/// What `external-config` prints for this place, which has its secret then.
async fn printed(place: &Place) -> String {
    let printed = place.command(&["external-config"]).output().await.unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8(printed.stdout).unwrap()
}

#[tokio::test]
async fn a_nats_that_somebody_else_runs_is_looked_at_as_a_start_does() {
    let place = Place::new();
    let configuration = printed(&place).await;
    let (code, said) = doctor(&place, &["--nats-url", "nats://127.0.0.1:1"]).await;
    assert_eq!(code, 1, "{said}");
    says(&said, "FAILED", "external NATS", "none of nats://127.0.0.1:1 can be connected to");

    let Some(nats) = Nats::start_with(&configuration).await else { return };
    let url = nats.url();
    let (code, said) = doctor(&place, &["--nats-url", &url]).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", "external NATS", "our users are let in");
    says(&said, "ok", "JetStream of CTL", "0 streams");
    says(&said, "ok", "move", "no bus is half moved in");
    says(&said, "ok", "callout", "by this command, since no membershipd works there");
    let (_, said) = doctor(&place, &["--nats-url", &url, "--kv-replicas", "3"]).await;
    says(&said, "FAILED", "external NATS", "1 servers are there, and --kv-replicas 3 needs");

    let daemon = place.start(&["--nats-url", &url]).await;
    let (code, said) = doctor(&place, &["--nats-url", &url]).await;
    assert_eq!(code, 0, "{said}");
    says(&said, "ok", "daemon", "it runs, and answers");
    says(&said, "ok", "callout", "by a membershipd that works there");
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn what_the_operator_of_a_nats_got_wrong_is_said() {
    let place = Place::new();
    let configuration = printed(&place).await;
    let edited = |from: &str, to: &str| {
        assert!(configuration.contains(from), "{configuration}");
        configuration.replacen(from, to, 1)
    };
    let found = async |configuration: &str| {
        let nats = Nats::start_with(configuration).await?;
        let (code, said) = doctor(&place, &["--nats-url", &nats.url()]).await;
        assert_eq!(code, 1, "{said}");
        Some(said)
    };
    // Nothing was added.
    let Some(said) = found("").await else { return };
    says(&said, "FAILED", "external NATS", "our user of the system account cannot ask");
    // Accounts that are too small, or have no JetStream.
    let small =
        edited("CTL {\n    jetstream: enabled", "CTL {\n    jetstream: { max_file: 32M, max_streams: 3 }");
    let said = found(&small).await.unwrap();
    says(
        &said,
        "FAILED",
        "JetStream of CTL",
        "at most 3 streams are allowed (max_streams), and 5 are needed",
    );
    let small = edited("BUS {\n    jetstream: enabled", "BUS {\n    jetstream: { max_file: 32M }");
    let said = found(&small).await.unwrap();
    says(&said, "FAILED", "JetStream of BUS", "30 MiB more are allowed (max_file): have it raised");
    let said = found(&edited("BUS {\n    jetstream: enabled", "BUS {")).await.unwrap();
    says(&said, "FAILED", "external NATS", "JetStream cannot be used in the account BUS");
    // Whom it lets in without asking.
    let said =
        found(&edited("allowed_accounts: [ AUTH, CTL, BUS ]", "allowed_accounts: [ AUTH ]")).await.unwrap();
    says(&said, "FAILED", "external NATS", "lets users of its own configuration into the account CTL");
}
