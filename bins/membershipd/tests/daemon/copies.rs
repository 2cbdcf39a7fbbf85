//! A cluster that one node keeps is kept by three, in place, and then does without any one of them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus_testkit::PlainRoom;
use busauth::http_signature::{SignedBody, sign};
use busauth::{ContentDigest, HttpNonce, Identity, RequestTarget};
use control_api::{BlobInfo, ClusterStatus, Me, NodeStanding, RaisedReplicas, Users};
use http::{HeaderMap, Method, StatusCode, header};
use room_protocol::{History, RoomRole};

use super::cluster::{reach, until_kept};
use super::harness::until;
use super::nodes::Nodes;

pub(crate) const OCTETS: &str = "application/octet-stream";

/// The headers of a signed request.
pub(crate) fn signed(
    user: &Identity,
    method: &Method,
    authority: &str,
    path: &str,
    body: Option<&[u8]>,
) -> HeaderMap {
    let target = RequestTarget { method, authority, path, query: None };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let body = body.map(|body| SignedBody { digest: ContentDigest::of(body), content_type: OCTETS });
    sign(user, &target, body, now, &HttpNonce::random())
}

async fn put_file(
    nodes: &mut Nodes,
    node: usize,
    user: &Identity,
    room: &PlainRoom,
    file: &[u8],
) -> BlobInfo {
    let (authority, path) = (nodes.control_addr(node).to_string(), format!("/v1/rooms/{}/blobs", room.id()));
    let request = reqwest::Client::new()
        .post(format!("http://{authority}{path}"))
        .header(header::CONTENT_TYPE, OCTETS)
        .headers(signed(user, &Method::POST, &authority, &path, Some(file)))
        .body(file.to_vec());
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, StatusCode::CREATED, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn get_file(
    nodes: &mut Nodes,
    node: usize,
    user: &Identity,
    room: &PlainRoom,
    file: &BlobInfo,
) -> Vec<u8> {
    let authority = nodes.control_addr(node).to_string();
    let path = format!("/v1/rooms/{}/blobs/{}", room.id(), file.digest);
    let request = reqwest::Client::new().get(format!("http://{authority}{path}")).headers(signed(
        user,
        &Method::GET,
        &authority,
        &path,
        None,
    ));
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
    bytes.to_vec()
}

async fn status(nodes: &Nodes, node: usize) -> ClusterStatus {
    let output = nodes.place(node).cluster(&["status", "--json"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Who decides what is stored of this, as a number.
fn leader(status: &ClusterStatus, stream: &str) -> usize {
    let stream = status.streams.iter().find(|one| one.name == stream).unwrap();
    let number: usize = stream.leader.as_ref().unwrap().strip_prefix("node-").unwrap().parse().unwrap();
    number - 1
}

#[tokio::test]
async fn a_cluster_that_one_node_keeps_is_kept_by_three_and_survives_its_leader() {
    let Some(mut nodes) = Nodes::new(&[]) else { return };
    nodes.start().await;
    let alice = nodes.admit(0, "alice").await;
    let bob = nodes.admit(1, "bob").await;
    let room = PlainRoom::create(nodes.control(0, &alice), "lab", History::Shared).await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    say_something(&mut nodes, &alice, &bob).await;
    let file = put_file(&mut nodes, 0, &alice, &room, b"what was found").await;
    assert_eq!(get_file(&mut nodes, 2, &bob, &room, &file).await, b"what was found");
    let before = status(&nodes, 0).await;
    assert_eq!((before.replicas, before.ha), (1, false));
    assert!(before.streams.iter().all(|stream| stream.replicas == 1), "{before:#?}");

    let refused = nodes.place(0).cluster(&["raise-replicas", "5"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("5 copies need 5 nodes"));
    raise_while_somebody_writes(&mut nodes).await;

    let after = status(&nodes, 1).await;
    assert_eq!((after.replicas, after.ha, after.nodes.len()), (3, true, 3), "{after:#?}");
    assert!(after.nodes.iter().all(|node| node.state == NodeStanding::Serving), "{after:#?}");
    assert!(after.streams.iter().all(|stream| stream.replicas == 3 && stream.is_whole()), "{after:#?}");
    let again = nodes.place(2).cluster(&["raise-replicas", "3", "--json"]).await;
    let again: RaisedReplicas = serde_json::from_slice(&again.stdout).unwrap();
    assert!(again.complete && again.done == again.total, "done before: {again:?}");

    let leader = leader(&after, "KV_UNIBUS_ctl");
    nodes.kill(leader).await;
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let control = nodes.control(one, &bob);
    let me: Me = until("answer without the leader", async || control.get("/v1/me").await).await;
    assert_eq!(me.rooms.len(), 1);
    assert_eq!(get_file(&mut nodes, other, &bob, &room, &file).await, b"what was found");
    let client = nodes.nats(other, &bob).await;
    until_kept(&client, &bob, &room, "hello").await;
    let health = nodes.until_ha(one, false).await;
    assert_eq!(health["replicas"], 3, "{health}");
}

async fn say_something(nodes: &mut Nodes, alice: &Identity, bob: &Identity) {
    let (from, to) = (nodes.nats(0, alice).await, nodes.nats(2, bob).await);
    let mut heard = to.subscribe("lab").await.unwrap();
    to.flush().await.unwrap();
    reach(&from, &mut heard, "lab").await;
}

/// What is written meanwhile is acknowledged, and there.
async fn raise_while_somebody_writes(nodes: &mut Nodes) {
    let place = nodes.place(1).cluster(&["raise-replicas", "3"]);
    let admin = nodes.admin();
    let control = nodes.control_of_running(0, &admin);
    let mut written = 0_usize;
    let raised = {
        tokio::pin!(place);
        loop {
            tokio::select! {
                raised = &mut place => break raised,
                () = write(&control, written) => written += 1,
            }
        }
    };
    let said = String::from_utf8(raised.stdout).unwrap();
    assert!(raised.status.success(), "{said} {}", String::from_utf8_lossy(&raised.stderr));
    assert!(said.contains("buckets and streams are kept by 3 nodes"), "{said}");
    let mut there = 0;
    let mut path = "/v1/users?limit=500".to_owned();
    loop {
        let page: Users = control.get(&path).await.unwrap();
        there += page.users.iter().filter(|user| user.handle.as_str().starts_with("guest-")).count();
        let Some(next) = page.next else { break };
        path = format!("/v1/users?limit=500&after={next}");
    }
    assert!(there >= written && written > 0, "{there} of {written}");
}

async fn write(control: &bus_testkit::ControlClient, number: usize) {
    let identity = Arc::new(Identity::generate());
    let new = control_api::NewUser {
        card: identity.card(None),
        handle: Some(format!("guest-{number}").parse().unwrap()),
        role: control_api::BusRole::Guest,
    };
    let written: Result<control_api::UserInfo, _> = control.post("/v1/users", &new).await;
    let user = written.unwrap();
    assert!(user.is_active());
}
