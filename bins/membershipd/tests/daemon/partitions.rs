//! A node that hangs, or is cut off from the others, lets nobody do more than the others allow.

use async_nats::connection::State;
use bus_testkit::PlainRoom;
use busauth::Identity;
use futures_util::{FutureExt as _, StreamExt as _};
use room_protocol::{History, RoomRole};
use rustix::process::Signal;

use super::cluster::{reach, until_connection};
use super::harness::until;
use super::nodes::{Nodes, revoke};

/// Waits until a node says this about its data plane.
async fn until_data_plane(nodes: &mut Nodes, node: usize, wanted: &str) {
    nodes.until_health(node, |health| health["data_plane"]["state"] == wanted).await;
}

#[tokio::test]
async fn a_node_that_hangs_or_is_cut_off_lets_nobody_do_more_than_the_others_allow() {
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3", "--staleness-bound", "20s"]) else { return };
    nodes.start().await;
    let alice = nodes.admit(0, "alice").await;
    let bob = nodes.admit(1, "bob").await;
    let carol = nodes.admit(2, "carol").await;
    let room = PlainRoom::create(nodes.control(0, &alice), "lab", History::None).await.unwrap();
    room.add(&bob, RoomRole::Reader).await.unwrap();

    who_is_removed_hears_nothing_at_a_node_that_hangs(&mut nodes, &room, &alice, &bob).await;
    a_node_that_cannot_be_reached_is_named(&mut nodes, &carol).await;
    // The server of node 3 still stands still: with node 2 gone as well, node 1 is alone.
    let client = nodes.nats(0, &alice).await;
    nodes.signal(1, Signal::STOP);
    nodes.signal_server(1, Signal::STOP);
    until_data_plane(&mut nodes, 0, "down").await;
    until_connection(&client, |state| state != State::Connected).await;
    for node in 1..3 {
        nodes.signal_server(node, Signal::CONT);
        nodes.signal(node, Signal::CONT);
    }
    until_data_plane(&mut nodes, 0, "ok").await;
    until_connection(&client, |state| state == State::Connected).await;
}

async fn who_is_removed_hears_nothing_at_a_node_that_hangs(
    nodes: &mut Nodes,
    room: &PlainRoom,
    alice: &Identity,
    bob: &Identity,
) {
    let (at_two, at_three) = (nodes.nats(1, alice).await, nodes.nats(2, bob).await);
    let mut heard = at_three.subscribe("lab.>").await.unwrap();
    at_three.flush().await.unwrap();
    reach(&at_two, &mut heard, "lab.a").await;
    nodes.signal(2, Signal::STOP);
    room.remove(bob.id()).await.unwrap();
    at_two.publish("lab.a", "secret".into()).await.unwrap();
    at_two.flush().await.unwrap();
    nodes.signal(2, Signal::CONT);
    until_data_plane(nodes, 2, "ok").await;
    until("bob at a node that works again", async || at_three.flush().await).await;
    while let Some(Some(more)) = heard.next().now_or_never() {
        assert_ne!(more.payload, "secret");
    }
}

async fn a_node_that_cannot_be_reached_is_named(nodes: &mut Nodes, carol: &Identity) {
    let admin = nodes.admin();
    let control = nodes.control(0, &admin);
    nodes.signal(2, Signal::STOP);
    nodes.signal_server(2, Signal::STOP);
    let revoked = revoke(&control, carol).await;
    assert_eq!(revoked.pending, ["node-3"], "{revoked:?}");
    assert!(revoked.answer.user.revoked.is_some());
}
