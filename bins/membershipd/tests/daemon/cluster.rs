//! Three nodes started from the command line are one bus.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::connection::State;
use bus_testkit::PlainRoom;
use busauth::http_signature::sign;
use busauth::{HttpNonce, Identity, RequestTarget};
use control_api::{ClusterStatus, Info, Me};
use futures_util::{FutureExt as _, StreamExt as _};
use http::{Method, StatusCode, header};
use room_protocol::{History, RoomRole};
use serde_json::{Value, json};

use super::harness::{until, within};
use super::nodes::{Nodes, revoke, until_requests_count};

/// After which a question is asked again.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks for a page of a room's history, as any NATS client can.
pub(crate) async fn history(
    client: &async_nats::Client,
    user: &Identity,
    room: &PlainRoom,
) -> Vec<async_nats::Message> {
    loop {
        // A request that went to a node which has just died is lost; whoever waits for an answer asks again.
        if let Ok(messages) = tokio::time::timeout(ANSWER, ask_history(client, user, room)).await {
            return messages;
        }
    }
}

async fn ask_history(
    client: &async_nats::Client,
    user: &Identity,
    room: &PlainRoom,
) -> Vec<async_nats::Message> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    let subject = format!("unibus.rpc.{}.history.{}", user.id(), room.id());
    let body = json!({ "from": { "seq": 1 }, "max": 100, "wait": 10 }).to_string();
    client.publish_with_reply(subject, inbox, body.into()).await.unwrap();
    let mut messages = Vec::new();
    loop {
        let message = answers.next().await.unwrap();
        let headers = message.headers.clone().unwrap_or_default();
        let is_last = headers.iter().any(|(name, _)| {
            ["Unibus-Stored-End", "Unibus-Stored-Error"].contains(&AsRef::<str>::as_ref(name))
        });
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

/// Publishes until it is heard: that somebody listens on another node is known there a moment later.
pub(crate) async fn reach(from: &async_nats::Client, to: &mut async_nats::Subscriber, subject: &str) {
    let heard = async {
        loop {
            from.publish(subject.to_owned(), "hello".into()).await.unwrap();
            from.flush().await.unwrap();
            if let Ok(message) = tokio::time::timeout(Duration::from_millis(100), to.next()).await {
                assert_eq!(message.unwrap().payload, "hello");
                return;
            }
        }
    };
    within("message on another node", heard).await;
}

/// Waits until the history of a room holds this.
pub(crate) async fn until_kept(client: &async_nats::Client, user: &Identity, room: &PlainRoom, wanted: &str) {
    until("message in the history", async || {
        let kept = history(client, user, room).await;
        if texts(&kept).contains(&wanted) { Ok(()) } else { Err(kept) }
    })
    .await;
}

/// Waits until a client is connected or not, as wanted.
pub(crate) async fn until_connection(client: &async_nats::Client, wanted: impl Fn(State) -> bool) {
    until("end or begin of a connection", async || {
        let state = client.connection_state();
        if wanted(state.clone()) { Ok(()) } else { Err(state) }
    })
    .await;
}

pub(crate) fn texts(messages: &[async_nats::Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.payload).unwrap()).collect()
}

#[tokio::test]
async fn three_nodes_are_one_bus() {
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3"]) else { return };
    nodes.start().await;
    let admin = nodes.admin();
    let info: Info = nodes.control(0, &admin).get("/v1/info").await.unwrap();
    assert_eq!(
        (info.name.as_str(), info.control_urls.len(), info.data_urls.len()),
        ("node-1", 3, 3),
        "{info:?}"
    );

    let alice = nodes.admit(0, "alice").await;
    let bob = nodes.admit(1, "bob").await;
    a_room_made_on_one_node_is_used_on_another(&mut nodes, &alice, &bob).await;
    a_replay_on_another_node_is_refused(&mut nodes, &alice).await;
    a_loss_of_one_node_is_survived(&mut nodes, &alice, &bob).await;
    for node in 0..3 {
        nodes.stop_cleanly(node).await;
    }
}

async fn a_room_made_on_one_node_is_used_on_another(
    nodes: &mut Nodes,
    alice: &Arc<Identity>,
    bob: &Arc<Identity>,
) {
    let room = PlainRoom::create(nodes.control(0, alice), "lab", History::Shared).await.unwrap();
    room.add(bob, RoomRole::Writer).await.unwrap();
    let me: Me = nodes.control(2, bob).get("/v1/me").await.unwrap();
    assert_eq!(me.rooms.len(), 1, "bob's rooms on a node that had no part in it");

    // Whoever may do more is not disconnected for it.
    let at_two = nodes.nats(1, alice).await;
    let other = PlainRoom::create(nodes.control(2, alice), "garden", History::None).await.unwrap();
    other.add(bob, RoomRole::Reader).await.unwrap();
    let at_three = nodes.nats(2, bob).await;
    let mut heard = at_three.subscribe("lab.>").await.unwrap();
    at_three.flush().await.unwrap();
    reach(&at_two, &mut heard, "lab.a").await;
    assert_eq!(at_two.statistics().connects.load(std::sync::atomic::Ordering::Relaxed), 1);
    let read = history(&at_three, bob, &room).await;
    assert_eq!(texts(&read[..1]), ["hello"]);

    // Removed at one node, bob hears nothing more at another.
    room.remove(bob.id()).await.unwrap();
    at_two.publish("lab.a", "secret".into()).await.unwrap();
    at_two.flush().await.unwrap();
    let refused = until("answer to bob", async || {
        let answer = history(&at_three, bob, &room).await;
        let headers = answer[0].headers.as_ref();
        let is_refused = headers.is_some_and(|headers| headers.get("Unibus-Stored-Error").is_some());
        if is_refused { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!(refused.len(), 1);
    while let Some(Some(more)) = heard.next().now_or_never() {
        assert_ne!(more.payload, "secret");
    }
    until_kept(&at_two, alice, &room, "secret").await;
}

async fn a_replay_on_another_node_is_refused(nodes: &mut Nodes, alice: &Identity) {
    let authority = nodes.control_addr(0).to_string();
    let target = RequestTarget { method: &Method::GET, authority: &authority, path: "/v1/me", query: None };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = sign(alice, &target, None, now, &HttpNonce::random());
    let mut answers = Vec::new();
    for node in 0..3 {
        let url = format!("{}/v1/me", nodes.daemon(node).control());
        let request =
            reqwest::Client::new().get(url).header(header::HOST, &authority).headers(signature.clone());
        let answer = request.send().await.unwrap();
        answers.push((answer.status(), answer.text().await.unwrap()));
    }
    assert_eq!(answers[0].0, StatusCode::OK, "{answers:?}");
    for (status, text) in &answers[1..] {
        assert_eq!(*status, StatusCode::UNAUTHORIZED);
        let problem: Value = serde_json::from_str(text).unwrap();
        assert_eq!(problem["code"], "nonce_replayed");
    }
}

async fn a_loss_of_one_node_is_survived(nodes: &mut Nodes, alice: &Arc<Identity>, bob: &Arc<Identity>) {
    nodes.until_ha(2, true).await;
    nodes.kill(0).await;

    // What needs a leader waits for a new one at most.
    let room = until("new room", async || {
        PlainRoom::create(nodes.control(1, alice), "after", History::Shared).await
    })
    .await;
    room.add(bob, RoomRole::Writer).await.unwrap();
    // Whoever logs in where a grant is not known yet has it from the next login on.
    until("new room on another node", async || {
        let me: Me = nodes.control(2, bob).get("/v1/me").await.unwrap();
        if me.rooms.len() < 2 { Err(me) } else { Ok(()) }
    })
    .await;
    let (at_two, at_three) = (nodes.nats(1, alice).await, nodes.nats(2, bob).await);
    let mut heard = at_three.subscribe("after").await.unwrap();
    at_three.flush().await.unwrap();
    reach(&at_two, &mut heard, "after").await;
    // Until there is a new leader everywhere the reason may be that nothing can be looked at.
    let names_it = |health: &Value| health["ha_reason"].as_str().is_some_and(|why| why.contains("node-1"));
    nodes.until_health(2, |health| health["ha"] == false && names_it(health)).await;
    nodes.spawn(0);
    nodes.ready(0).await;
    let me: Me = nodes.control(0, bob).get("/v1/me").await.unwrap();
    assert_eq!(me.rooms.len(), 2, "what was missed is there");
    nodes.until_ha(0, true).await;
}

/// How many nodes keep a room's messages, as the second says.
async fn kept_by(nodes: &mut Nodes, room: &PlainRoom) -> u32 {
    let admin = nodes.admin();
    let status: ClusterStatus = nodes.control(1, &admin).get("/v1/cluster").await.unwrap();
    let name = format!("ROOM_{}", room.id());
    status.streams.iter().find(|stream| stream.name == name).unwrap().replicas
}

#[tokio::test]
async fn a_node_that_has_stopped_in_good_order_is_not_waited_for() {
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3"]) else { return };
    nodes.start().await;
    nodes.until_ha(0, true).await;
    let admin = nodes.admin();
    let (bob, carol) = (nodes.admit(0, "bob").await, nodes.admit(0, "carol").await);
    let at_three = nodes.nats(2, &bob).await;
    nodes.stop_cleanly(2).await;
    assert_ne!(at_three.connection_state(), State::Connected);
    // Its lease would have run for half a minute.
    let began = Instant::now();
    let revoked = revoke(&nodes.control(0, &admin), &carol).await;
    assert!(revoked.pending.is_empty(), "{revoked:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    let room = PlainRoom::create(nodes.control(0, &bob), "meanwhile", History::Shared).await.unwrap();

    // Back again, it counts.
    nodes.spawn(2);
    nodes.ready(2).await;
    until("copy of the room on the node that was away", async || {
        let copies = kept_by(&mut nodes, &room).await;
        if copies < 3 { Err(copies) } else { Ok(()) }
    })
    .await;
    nodes.until_ha(0, true).await;
    until_requests_count(&nodes.control(2, &admin)).await;
    let mut at_three = nodes.nats(2, &bob).await.subscribe(format!("_INBOX_{}.a", bob.id())).await.unwrap();
    let revoked = revoke(&nodes.control(0, &admin), &bob).await;
    assert!(revoked.pending.is_empty(), "{revoked:?}");
    let login = async_nats::ConnectOptions::with_nkey(bob.login_seed().as_str().to_owned());
    assert!(login.connect(nodes.daemon(2).data()).await.is_err(), "nobody who is revoked logs in there");
    assert!(at_three.next().now_or_never().flatten().is_none());
}

#[tokio::test]
async fn a_node_waits_for_the_others_and_can_be_stopped_meanwhile() {
    let Some(mut nodes) = Nodes::new(&[]) else { return };
    nodes.spawn(0);
    nodes.daemon(0).wait_for("Waiting for routing to be established").await;
    let refused = nodes.place(0).user(&["list"]).await;
    assert_eq!(refused.status.code(), Some(1), "nothing is answered before the store is open");
    let (status, said) = nodes.take(0).stop().await;
    assert!(status.success(), "{said:#?}");
    assert!(said.iter().any(|line| line["message"] == "stopped before it had started"), "{said:#?}");
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_cluster_is_said_at_once() {
    let place = super::harness::Place::new();
    let wrong = [
        "--bind",
        "0.0.0.0",
        "--cluster-name",
        "members",
        "--routes",
        "nats://10.0.0.2:6250",
        "--store",
        "sqlite",
        "--kv-replicas",
        "3",
        "--route-tls-cert",
        "route.crt",
    ];
    let parts = [
        "--server-name",
        "leave --store out",
        "3 replicas need 3 nodes",
        "--cluster-pass-file",
        "route TLS needs a certificate, its key and the authority",
    ];
    place.fail(&wrong).await.says(2, &parts);
    let alone = ["--routes", "nats://10.0.0.2:6250", "--kv-replicas", "3"];
    place
        .fail(&alone)
        .await
        .says(2, &["--routes", "set --cluster-name as well", "3 copies need as many nodes"]);
}
