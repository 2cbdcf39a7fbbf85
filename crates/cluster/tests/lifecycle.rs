//! Starting, dying, starting again, stopping.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use async_nats::{Event, jetstream};
use busauth::Permissions;
use cluster::{ClusterConfig, Limits, Phase, ServiceAccess, StartError, Stop};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    certificates::Certificates,
    client::connect,
    config::alone,
    nats_server,
    nodes::{self, runnable, try_start, until, until_jetstream_is_ready},
    users::Users,
    within,
};

async fn enter(access: &ServiceAccess) -> async_nats::Client {
    access.options().connect(access.url()).await.unwrap()
}

async fn server_process(access: &ServiceAccess, store: &Path) -> Pid {
    drop(enter(access).await);
    let ports = fs::read_dir(store.join("run")).unwrap().next().unwrap().unwrap().file_name();
    let digits: String = ports.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn service_identities_use_jetstream_and_clients_do_not() {
    let users = Users::new();
    let Some((node, store)) = nodes::start(&users).await else { return };
    until_jetstream_is_ready(&node).await;
    for access in [node.control_access(), node.bus_access()] {
        let context = jetstream::new(enter(access).await);
        let bucket = jetstream::kv::Config { bucket: "things".to_owned(), ..Default::default() };
        let bucket = context.create_key_value(bucket).await.unwrap();
        bucket.create("key", "value".into()).await.unwrap();
    }
    // Each in its own account: what was created twice was not one bucket.
    let mode = fs::metadata(store.path().join("nats-server.lock")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let report = node.stop(Stop::Now).await;
    assert!(!report.killed);
    assert!(fs::read_dir(store.path().join("run")).unwrap().next().is_none(), "it has ended by itself");
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_everybody_comes_back() {
    let users = Users::new();
    let Some((node, store)) = nodes::start(&users).await else { return };
    let alice = users.add("alice", &Permissions::allow_all());
    let mut client = connect(node.client_address(), &alice).await.unwrap();
    until_jetstream_is_ready(&node).await;
    let context = jetstream::new(enter(node.control_access()).await);
    let bucket = jetstream::kv::Config { bucket: "things".to_owned(), ..Default::default() };
    let bucket = context.create_key_value(bucket).await.unwrap();
    bucket.put("key", "value".into()).await.unwrap();

    let first = server_process(node.bus_access(), store.path()).await;
    kill_process(first, Signal::KILL).unwrap();
    until(&node, "a restart", |state| state.restarts == 1 && state.phase == Phase::Running).await;
    client.event("a new connection", |event| matches!(event, Event::Disconnected)).await;
    client.event("a new connection", |event| matches!(event, Event::Connected)).await;
    until_jetstream_is_ready(&node).await;
    // The connection of the service identity has come back by itself, too.
    let value = within("a value", async {
        loop {
            if let Ok(Some(value)) = bucket.get("key").await {
                return value;
            }
        }
    })
    .await;
    assert_eq!(value, "value");
    assert_eq!(node.kick(&alice.principal).await.unwrap(), 1);
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_stop_between_two_servers_leaves_none() {
    let users = Users::new();
    let Some((node, store)) = nodes::start(&users).await else { return };
    let process = server_process(node.bus_access(), store.path()).await;
    kill_process(process, Signal::KILL).unwrap();
    until(&node, "the end of the server", |state| matches!(state.phase, Phase::Restarting { .. })).await;
    let principal = users.add("alice", &Permissions::default()).principal;
    assert!(matches!(node.kick(&principal).await, Err(cluster::KickError::NotRunning)));
    let address = node.client_address();
    within("the stop", node.stop(Stop::Now)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_server_that_hangs_is_killed_at_a_stop() {
    let users = Users::new();
    let Some((node, store)) = nodes::start(&users).await else { return };
    let process = server_process(node.bus_access(), store.path()).await;
    kill_process(process, Signal::STOP).unwrap();
    assert!(node.stop(Stop::Now).await.killed);
}

#[tokio::test]
async fn lame_duck_lets_clients_go_before_the_server_ends() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let alice = users.add("alice", &Permissions::allow_all());
    let mut client = connect(node.client_address(), &alice).await.unwrap();
    let state = node.state();
    let (report, ()) = tokio::join!(node.stop(Stop::LameDuck), async {
        client.event("the word to go", |event| matches!(event, Event::LameDuckMode)).await;
        assert_eq!(state.borrow().phase, Phase::Stopping);
        client.client.drain().await.unwrap();
        client.event("the end", |event| matches!(event, Event::Closed)).await;
    });
    assert!(!report.killed);
    assert_eq!(state.borrow().phase, Phase::Stopped);
}

#[tokio::test]
async fn a_node_that_is_dropped_leaves_no_server() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let mut state = node.state();
    drop(node);
    within("the end", async { while state.changed().await.is_ok() {} }).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let users = Users::new();
    let Some(program) = nats_server::program() else { return };
    let store = tempfile::tempdir().unwrap();
    let limits = Limits { store_patience: Duration::from_millis(300), ..Limits::default() };
    let config = || ClusterConfig { limits, ..runnable(alone("node-1", store.path())).unwrap() };

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client_listen = taken.local_addr().unwrap();
    let error = try_start(ClusterConfig { client_listen, ..config() }, &users).await.err().unwrap();
    assert!(
        matches!(&error, StartError::Ended(reason) if reason.contains("address already in use")),
        "{error}"
    );

    let missing = ClusterConfig { nats_server: "/nowhere/nats-server".into(), ..config() };
    assert!(matches!(try_start(missing, &users).await, Err(StartError::Program { .. })));
    let no_server = ClusterConfig { nats_server: "/bin/true".into(), ..config() };
    assert!(matches!(try_start(no_server, &users).await, Err(StartError::NoVersion(_))));

    // An old one: what counts is what it says.
    let old = store.path().join("old");
    fs::write(&old, "#!/bin/sh\necho 'nats-server: v2.10.27'\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o700)).unwrap();
    let error = try_start(ClusterConfig { nats_server: old, ..config() }, &users).await.err().unwrap();
    assert!(matches!(error, StartError::TooOld { .. }), "{error}");

    // A second node in the directory of a first one.
    let node = try_start(config(), &users).await.unwrap();
    assert!(matches!(try_start(config(), &users).await, Err(StartError::StoreInUse(_))));
    node.stop(Stop::Now).await;
    try_start(config(), &users).await.unwrap().stop(Stop::Now).await;
    drop(program);
}

#[tokio::test]
async fn our_own_connections_use_tls_and_know_the_certificate() {
    let users = Users::new();
    let certificates = Certificates::new();
    let store = tempfile::tempdir().unwrap();
    let with_tls =
        ClusterConfig { client_tls: Some(certificates.of("node-1").pair), ..alone("node-1", store.path()) };
    let Some(config) = runnable(with_tls) else { return };
    let node = try_start(config, &users).await.unwrap();
    assert!(node.bus_access().url().starts_with("tls://127.0.0.1:"));
    enter(node.bus_access()).await.flush().await.unwrap();
    node.stop(Stop::Now).await;

    // A server with another certificate of the same authority in its place gets nothing.
    let other_store = tempfile::tempdir().unwrap();
    let [port] = nats_testkit::free_ports();
    let at = |node: &str, store: &Path| ClusterConfig {
        client_tls: Some(certificates.of(node).pair),
        client_listen: ([127, 0, 0, 1], port).into(),
        ..alone("node-1", store)
    };
    let node = try_start(runnable(at("node-1", store.path())).unwrap(), &users).await.unwrap();
    let access = node.bus_access().clone();
    node.stop(Stop::Now).await;
    let impostor = try_start(runnable(at("node-2", other_store.path())).unwrap(), &users).await.unwrap();
    let refused = access.options().connection_timeout(Duration::from_secs(5)).connect(access.url()).await;
    let error = refused.unwrap_err();
    let text = format!("{error:?}").to_lowercase();
    assert!(text.contains("certificate"), "not for another reason: {text}");
    impostor.stop(Stop::Now).await;
}
