//! One copy of users and rooms: the loss of the node that keeps them stops the bus, and lets nobody in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus_testkit::ControlError;
use busauth::Identity;
use control_api::{BusRole, Me, NewUser, ProblemCode, UserInfo};
use tokio::net::UnixDatagram;
use tokio::task::JoinSet;

use super::cluster::{AGAIN, Cluster, Fittings};
use super::listener::connect;
use super::network::{Lines, Network};
use crate::daemon::harness::{Place, within};

/// How long a request may take when nodes are missing.
const PATIENCE: Duration = Duration::from_secs(35);

/// The bound, and some requests that wait as long as they may, on a machine that has other things to do.
const BOUND_AND_TIMEOUTS: Duration = Duration::from_mins(2);

fn newcomer(identity: &Identity, handle: &str) -> NewUser {
    NewUser { card: identity.card(None), handle: Some(handle.parse().unwrap()), role: BusRole::Member }
}

/// Counts how often anybody says to be alive.
async fn count_lives(socket: UnixDatagram, lives: Arc<AtomicUsize>) {
    let mut message = [0; 4096];
    while let Ok(length) = socket.recv(&mut message).await {
        let text = String::from_utf8_lossy(&message[..length]);
        lives.fetch_add(text.lines().filter(|line| *line == "WATCHDOG=1").count(), Ordering::Relaxed);
    }
}

fn code(error: &ControlError) -> Option<ProblemCode> {
    error.problem().map(|problem| problem.code)
}

#[tokio::test]
async fn with_one_copy_the_loss_of_its_node_stops_the_bus_and_lets_nobody_in() {
    let place = Place::new();
    let path = place.path("notify.sock");
    let service_manager = UnixDatagram::bind(&path).unwrap();
    // All the time: a service manager that does not read holds up whoever tells it something.
    let lives = Arc::new(AtomicUsize::new(0));
    let mut listening = JoinSet::new();
    listening.spawn(count_lives(service_manager, Arc::clone(&lives)));
    let variables = [("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "1000000".to_owned())];
    let settings = ["--kv-replicas", "1", "--staleness-bound", "20s"];
    let network = Network::Lines(Box::new(Lines::new(1).await));
    let starting = Box::pin(Cluster::start(network, Fittings::default(), &settings, &variables));
    let Some(cluster) = starting.await else { return };
    let alice = Arc::new(Identity::generate());
    let new = newcomer(&alice, "alice");
    let _alice: UserInfo = cluster.control(0, &cluster.admin()).post("/v1/users", &new).await.unwrap();
    let (_, health) = cluster.ask(0, "healthz").await.unwrap();
    assert_eq!(health["ha"], false, "{health}");
    let reason = health["ha_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("raise-replicas"), "{health}");

    let lost = cluster.leader().await;
    let others: Vec<usize> = (0..3).filter(|node| *node != lost).collect();
    cluster.kill(lost).await;
    // Nothing is written.
    for node in &others {
        let new = newcomer(&Identity::generate(), "bob");
        let admin = cluster.control(*node, &cluster.admin());
        let asked = tokio::time::timeout(PATIENCE, admin.post::<UserInfo>("/v1/users", &new));
        let error = asked.await.unwrap().unwrap_err();
        assert_eq!(code(&error), Some(ProblemCode::Unavailable), "{error}");
    }
    // What was known last holds for as long as the bound; then nobody is let in any more, on either plane.
    for node in &others {
        let shut = async {
            loop {
                let ready = cluster.ask(*node, "readyz").await.is_none_or(|(status, _)| status == 200);
                let on_data = Box::pin(connect(&cluster, &[*node], &alice)).await.is_some();
                let control = cluster.control(*node, &alice);
                let asked = tokio::time::timeout(PATIENCE, control.get::<Me>("/v1/me")).await.unwrap();
                let on_control = asked.map_err(|error| code(&error)).map(drop);
                if !ready && !on_data && on_control == Err(Some(ProblemCode::Unavailable)) {
                    return;
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::time::timeout(BOUND_AND_TIMEOUTS, shut).await.expect("what was known last holds no longer");
    }
    // A service manager leaves these nodes alone: starting them anew would not bring the third one back.
    let told = lives.load(Ordering::Relaxed);
    let alive = async {
        while lives.load(Ordering::Relaxed) < told + 4 * others.len() {
            tokio::time::sleep(AGAIN).await;
        }
    };
    within("words to the service manager", alive).await;

    // Nothing was lost with it for good.
    cluster.spawn(lost);
    for node in 0..3 {
        let me = cluster.control(node, &alice);
        let again = async {
            loop {
                let asked = tokio::time::timeout(Duration::from_secs(3), me.get::<Me>("/v1/me")).await;
                if let Ok(Ok(me)) = asked
                    && Box::pin(connect(&cluster, &[node], &alice)).await.is_some()
                {
                    return me;
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        assert_eq!(within("node that serves again", again).await.user.handle.as_str(), "alice");
    }
    cluster.end_all().await;
}
