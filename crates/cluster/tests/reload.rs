//! Certificates exchanged while a node runs.

use std::time::Duration;

use async_nats::Event;
use busauth::Permissions;
use cluster::{ReloadError, Reloaded, Stop};
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;

use crate::support::{
    certificates::Certificates,
    client::connect_by_tls,
    nodes::{try_start, until},
    pair::Pair,
    within,
};

fn leaf(certificates: &Certificates, node: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(certificates.of(node).pair.certificate).unwrap()
}

#[tokio::test]
async fn clients_and_peers_are_shown_new_certificates_and_nobody_is_lost() {
    let Some(mut pair) = Pair::start().await else { return };
    let alice = pair.users.add("alice", &Permissions::allow_all());
    let authority = pair.clients.authority();
    let mut client = connect_by_tls(pair.address(0), &alice, &authority).await.unwrap();
    let own = pair.nodes[0].bus_access().clone();
    let service = own.options().connect(own.url()).await.unwrap();
    let before = leaf(&pair.clients, "node-1");
    assert_eq!(pair.shown(0).await, before);

    // Nothing new: nobody notices.
    assert_eq!(pair.reload(0).await.unwrap(), Reloaded::Unchanged);
    client.client.flush().await.unwrap();
    assert!(!client.was_disconnected());

    pair.clients.renew();
    pair.routes.renew();
    assert_eq!(pair.shown(0).await, before, "not before it is told to");
    assert_eq!(pair.reload(0).await.unwrap(), Reloaded::Changed);
    let after = leaf(&pair.clients, "node-1");
    assert!(after != before);
    assert_eq!(pair.shown(0).await, after);
    // As a reload is, everybody whom the callout let in is disconnected, and comes back.
    client.event("the end of the old connection", |event| matches!(event, Event::Disconnected)).await;
    client.event("a new connection", |event| matches!(event, Event::Connected)).await;
    let mut rooms = client.subscribe("rooms").await;
    within("a message of the service identity", async {
        loop {
            drop(service.publish("rooms", "hello".into()).await);
            if timeout(Duration::from_millis(100), rooms.next()).await.is_ok() {
                return;
            }
        }
    })
    .await;

    // The peer has not reloaded, and the two still are a cluster, also over a route that is new.
    assert_eq!(pair.reload(1).await.unwrap(), Reloaded::Changed);
    assert_eq!(pair.nodes[0].state().borrow().restarts, 0);
    let second = pair.nodes.pop().unwrap();
    second.stop(Stop::Now).await;
    let again = try_start(pair.configs[1].clone(), &pair.users).await.unwrap();
    pair.until_joined(&again).await;
    pair.nodes.push(again);
    pair.stop().await;
}

#[tokio::test]
async fn a_server_that_is_started_again_has_the_new_certificates() {
    let Some(pair) = Pair::start().await else { return };
    pair.clients.renew();
    assert_eq!(pair.reload(0).await.unwrap(), Reloaded::Changed);
    let run = pair.stores[0].path().join("run");
    let ports = std::fs::read_dir(run).unwrap().next().unwrap().unwrap().file_name();
    let digits: String = ports.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    kill_process(Pid::from_raw(digits.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    until(&pair.nodes[0], "a restart", |state| state.restarts == 1).await;
    assert_eq!(pair.shown(0).await, leaf(&pair.clients, "node-1"));
    // And can be given others again.
    pair.clients.renew();
    assert_eq!(pair.reload(0).await.unwrap(), Reloaded::Changed);
    assert_eq!(pair.shown(0).await, leaf(&pair.clients, "node-1"));
    pair.stop().await;
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_refused_and_those_in_use_stay() {
    let Some(pair) = Pair::start().await else { return };
    let alice = pair.users.add("alice", &Permissions::allow_all());
    let mut client = connect_by_tls(pair.address(0), &alice, &pair.clients.authority()).await.unwrap();
    let before = leaf(&pair.clients, "node-1");
    // The pair of the routes is not one for clients, and one of another authority is none for routes.
    let strangers = Certificates::new();
    std::fs::copy(strangers.of("node-1").pair.certificate, pair.routes.of("node-1").pair.certificate)
        .unwrap();
    std::fs::copy(strangers.of("node-1").pair.key, pair.routes.of("node-1").pair.key).unwrap();
    let refused = pair.reload(0).await.unwrap_err();
    assert!(matches!(&refused, ReloadError::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("not made by the authority"), "{refused}");
    std::fs::remove_file(pair.clients.of("node-1").pair.key).unwrap();
    let refused = pair.reload(0).await.unwrap_err();
    assert!(refused.to_string().contains("server") || refused.to_string().contains("route.key"), "{refused}");
    client.client.flush().await.unwrap();
    assert!(!client.was_disconnected(), "the server was not told");
    assert_eq!(pair.shown(0).await, before);
    pair.stop().await;
}
