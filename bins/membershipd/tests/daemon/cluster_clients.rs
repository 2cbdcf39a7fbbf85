//! The SDK on a bus of three nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use bus_client::{
    Bus, BusConfig, Confirm, ErrorKind, Event, History, HistoryFrom, Replay, Room, RoomDraft, StateStore,
    Subscription,
};
use busauth::{Identity, UserId};
use control_api::Info;
use room_protocol::RoomRole;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::harness::{until, within};
use super::nodes::Nodes;

/// Adds somebody of whom it is known who it is.
async fn add(room: &Room, user: &Identity) {
    let who: UserId = user.id();
    room.add(&who.to_string().parse().unwrap(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
}

async fn text(messages: &mut Subscription) -> String {
    let message = within("message", messages.next()).await.unwrap().unwrap();
    String::from_utf8(message.payload.to_vec()).unwrap()
}

/// Counts aloud until told to stop. Answers how far.
async fn count(room: Room, stop: CancellationToken) -> u32 {
    let mut said = 0;
    while !stop.is_cancelled() {
        said += 1;
        room.publish(said.to_string()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    room.flush().await.unwrap();
    said
}

async fn until_added(bus: &Bus, room: &Room, events: &mut bus_client::Events) -> Room {
    let id = room.id();
    within("news of the room", async {
        loop {
            if matches!(events.next().await, Some(Event::RoomAdded { room }) if room == id) {
                return;
            }
        }
    })
    .await;
    bus.room(&id.to_string()).await.unwrap()
}

#[tokio::test]
async fn a_grant_holds_without_connecting_by_hand_and_nothing_is_missed_meanwhile() {
    let Some(mut nodes) = Nodes::new(&[]) else { return };
    nodes.start().await;
    let alice = nodes.admit(0, "alice").await;
    let bob = nodes.admit(1, "bob").await;
    let (at_one, at_two) = (nodes.sdk(0, &alice).await, nodes.sdk(1, &bob).await);

    // Made and used at once.
    let first = at_one.create_room(RoomDraft::new("first".parse().unwrap())).await.unwrap();
    let mut own = first.subscribe().await.unwrap();
    first.publish("at once").await.unwrap();
    first.flush().await.unwrap();
    assert_eq!(text(&mut own).await, "at once");

    let mut events = at_two.events();
    add(&first, &bob).await;
    let bobs = until_added(&at_two, &first, &mut events).await;
    let mut heard = bobs.subscribe().await.unwrap();
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let counting = tasks.spawn(count(first.clone(), stop.clone()));
    // Both move to other connections several times while one counts and the other listens.
    for name in ["second", "third", "fourth"] {
        let made = at_one.create_room(RoomDraft::new(name.parse().unwrap())).await.unwrap();
        add(&made, &bob).await;
        let there = until_added(&at_two, &made, &mut events).await;
        let mut messages = there.subscribe().await.unwrap();
        there.publish("from bob").await.unwrap();
        assert_eq!(text(&mut messages).await, "from bob");
    }
    stop.cancel();
    let said = counting.await.unwrap();
    let first_heard: u32 = text(&mut heard).await.parse().unwrap();
    for expected in first_heard + 1..=said {
        assert_eq!(text(&mut heard).await, expected.to_string());
    }
    at_one.shutdown().await.unwrap();
    at_two.shutdown().await.unwrap();
    for node in 0..3 {
        nodes.stop_cleanly(node).await;
    }
}

/// Says something again and again until told to stop. Answers with what is stored for certain.
async fn talk(room: Room, name: &'static str, stop: CancellationToken) -> BTreeSet<String> {
    let mut stored = BTreeSet::new();
    let mut said = 0;
    while !stop.is_cancelled() {
        said += 1;
        let text = format!("{name} {said}");
        // What is not acknowledged may be stored all the same, and is not counted.
        if room.publish_stored(text.clone()).await.is_ok() {
            stored.insert(text);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stored
}

/// Reads until all of these have come. Nothing comes twice.
async fn hear_all(messages: &mut Replay, heard: &mut BTreeSet<String>, wanted: &BTreeSet<String>) {
    within("everything that was acknowledged", async {
        while !wanted.is_subset(heard) {
            let message = messages.next().await.unwrap().unwrap().unwrap();
            let text = String::from_utf8(message.payload.to_vec()).unwrap();
            assert!(!heard.contains(&text), "{text} came twice");
            heard.insert(text);
        }
    })
    .await;
}

#[tokio::test]
async fn a_conversation_goes_on_while_the_node_that_leads_is_killed() {
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3"]) else { return };
    nodes.start().await;
    nodes.until_ha(0, true).await;
    let alice = nodes.admit(0, "alice").await;
    let bob = nodes.admit(1, "bob").await;
    let (at_one, at_two) = (nodes.sdk(0, &alice).await, nodes.sdk(1, &bob).await);
    let draft = RoomDraft { history: History::Shared, ..RoomDraft::new("lab".parse().unwrap()) };
    let room = at_one.create_room(draft).await.unwrap();
    add(&room, &bob).await;
    let bobs = at_two.room(&room.id().to_string()).await.unwrap();
    let mut to_alice = room.replay(HistoryFrom::First).await.unwrap();
    let mut to_bob = bobs.replay(HistoryFrom::First).await.unwrap();

    let tasks = TaskTracker::new();
    // Whichever node leads a stream: its turn comes.
    let (mut by_alice, mut by_bob) = (BTreeSet::new(), BTreeSet::new());
    for node in 0..3 {
        let stop = CancellationToken::new();
        let alice_talks = tasks.spawn(talk(room.clone(), ["a0", "a1", "a2"][node], stop.clone()));
        let bob_talks = tasks.spawn(talk(bobs.clone(), ["b0", "b1", "b2"][node], stop.clone()));
        nodes.kill(node).await;
        // Nothing says it earlier: whoever was connected there speaks and is heard again.
        let after = within("an acknowledgement without the node", async {
            loop {
                match room.publish_stored(format!("without {node}")).await {
                    Ok(_) => return,
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            }
        });
        after.await;
        stop.cancel();
        let mut wanted = alice_talks.await.unwrap();
        wanted.extend(bob_talks.await.unwrap());
        wanted.insert(format!("without {node}"));
        hear_all(&mut to_alice, &mut by_alice, &wanted).await;
        hear_all(&mut to_bob, &mut by_bob, &wanted).await;
        nodes.spawn(node);
        nodes.ready(node).await;
        nodes.until_ha(node, true).await;
    }
    at_one.shutdown().await.unwrap();
    at_two.shutdown().await.unwrap();
    for node in 0..3 {
        nodes.stop_cleanly(node).await;
    }
}

#[tokio::test]
async fn who_starts_while_the_node_that_it_was_told_of_is_away_finds_another() {
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3"]) else { return };
    nodes.start().await;
    nodes.until_ha(0, true).await;
    let alice = nodes.admit(0, "alice").await;
    let state = tempfile::tempdir().unwrap();
    let config = BusConfig::new(nodes.daemon(0).control(), alice.clone());
    let connect = async || {
        let config = config.clone().with_state(StateStore::directory(state.path()).unwrap());
        let connected = async {
            loop {
                match Box::pin(Bus::connect(config.clone())).await {
                    Ok(bus) => return bus,
                    // The others may be between two leaders.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
                }
            }
        };
        within("connection", connected).await
    };
    until_all_are_named(&mut nodes).await;
    connect().await.shutdown().await.unwrap();

    nodes.kill(0).await;
    let bus = connect().await;
    assert_eq!(bus.me().await.unwrap().user.id, alice.id());
    bus.shutdown().await.unwrap();
}

/// Waits until the first node has heard where the others are.
async fn until_all_are_named(nodes: &mut Nodes) {
    let url = format!("{}/v1/info", nodes.daemon(0).control());
    until("addresses of all nodes", async || {
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        let info: Info = serde_json::from_str(&text).unwrap();
        if info.control_urls.len() == 3 && info.data_urls.len() == 3 { Ok(()) } else { Err(info) }
    })
    .await;
}
