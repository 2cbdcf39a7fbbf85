//! A disk without room: nothing acknowledged is lost, and with room the node is whole again by itself.

use std::time::Duration;

use async_nats::{
    Client, Event,
    jetstream::{self, context::Context, stream},
};
use busauth::Permissions;
use cluster::{Node, NodeState, Phase, ServiceAccess, Stop, StorageState};
use tokio::time::timeout;

use crate::support::{
    client::connect,
    config::alone,
    disk::SmallDisk,
    nodes::{runnable, try_start, until, until_jetstream_is_ready},
    trio::start_in,
    users::Users,
    within,
};

/// More than has to be free for a server to be started again, and not much more: all of it is memory.
const DISK: u64 = 80;
/// What a write is given; one that is not stored is not answered.
const ANSWER: Duration = Duration::from_millis(500);
/// Large enough for some to fill what is left of a block.
const MESSAGE: usize = 16 * 1024;

async fn enter(access: &ServiceAccess) -> Client {
    within("an entry", access.options().connect(access.url())).await.unwrap()
}

fn stream(name: &str, replicas: usize) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        num_replicas: replicas,
        ..Default::default()
    }
}

async fn create(context: &Context, config: stream::Config) {
    within("a stream", async { while context.create_stream(config.clone()).await.is_err() {} }).await;
}

/// Whether a message is stored.
async fn is_stored(context: &Context, stream: &str) -> bool {
    let published = context.publish(format!("{stream}.a"), vec![7; MESSAGE].into()).await;
    matches!(timeout(ANSWER, published.unwrap()).await, Ok(Ok(_)))
}

/// Stores messages until one is not stored, and returns how many were.
async fn store_until_refused(context: &Context, stream: &str) -> u64 {
    let mut stored = 0;
    within("a message that is not stored", async {
        while is_stored(context, stream).await {
            stored += 1;
        }
    })
    .await;
    stored
}

async fn until_stored(context: &Context, stream: &str) {
    within("a message that is stored", async { while !is_stored(context, stream).await {} }).await;
}

async fn stored_in(context: &Context, stream: &str) -> u64 {
    within("a stream", async {
        loop {
            if let Ok(found) = context.get_stream(stream).await {
                return found.cached_info().state.messages;
            }
        }
    })
    .await
}

fn waits_for_room(state: &NodeState) -> bool {
    matches!(&state.storage, StorageState::Stopped { reason } if reason.contains("MiB have to be free"))
}

fn is_whole_again(state: &NodeState) -> bool {
    state.restarts == 1 && state.phase == Phase::Running && state.storage == StorageState::Works
}

async fn until_it_waits_for_room(node: &Node) {
    let state = until(node, "a node that stores nothing", waits_for_room).await;
    assert_eq!((state.phase, state.restarts), (Phase::Running, 0), "not before there is room");
}

#[tokio::test]
async fn a_node_that_stands_alone_stores_again_when_there_is_room() {
    let users = Users::new();
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let Some(config) = runnable(alone("node-1", &disk.path().join("store"))) else { return };
    let node = try_start(config, &users).await.unwrap();
    until_jetstream_is_ready(&node).await;
    let alice = users.add("alice", &Permissions::allow_all());
    let mut client = connect(node.client_address(), &alice).await.unwrap();
    let context = jetstream::new(enter(node.control_access()).await);
    create(&context, stream("things", 1)).await;

    disk.fill_up_to(0);
    let stored = store_until_refused(&context, "things").await;
    until_it_waits_for_room(&node).await;
    // Too little for a server to be of use.
    disk.fill_up_to(20);
    let is_little = |state: &NodeState| matches!(&state.storage, StorageState::Stopped { reason } if !reason.contains(" 0 MiB are"));
    let state = until(&node, "another look at the disk", is_little).await;
    assert!(waits_for_room(&state) && state.restarts == 0, "{state:?}");
    assert!(!is_stored(&context, "things").await);

    disk.clear();
    client.event("the word to go", |event| matches!(event, Event::LameDuckMode)).await;
    until(&node, "another server", is_whole_again).await;
    until_jetstream_is_ready(&node).await;
    assert_eq!(stored_in(&context, "things").await, stored, "what was acknowledged");
    until_stored(&context, "things").await;
    client.event("a new connection", |event| matches!(event, Event::Connected)).await;
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_node_of_three_keeps_its_copies_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let Some(trio) = start_in(Some(disk.path())).await else { return };
    let [one, _, three] = &trio.nodes;
    let context = jetstream::new(enter(one.control_access()).await);
    create(&context, stream("copied", 3)).await;
    until_stored(&context, "copied").await;

    disk.fill_up_to(0);
    let mut stored = 1;
    let mut state = three.state();
    within("a node that stores nothing", async {
        while !waits_for_room(&state.borrow_and_update()) {
            // The other two go on.
            stored += u64::from(is_stored(&context, "copied").await);
        }
    })
    .await;
    until_it_waits_for_room(three).await;

    disk.clear();
    until(three, "another server", is_whole_again).await;
    until_jetstream_is_ready(three).await;
    assert!(stored_in(&context, "copied").await >= stored, "what was acknowledged");
    // The leader says who has everything.
    within("three copies", async {
        loop {
            let found = context.get_stream("copied").await;
            let cluster = found.ok().and_then(|found| found.cached_info().cluster.clone());
            if cluster.is_some_and(|cluster| cluster.replicas.iter().filter(|peer| peer.current).count() == 2)
            {
                return;
            }
        }
    })
    .await;
    trio.stop().await;
}

#[tokio::test]
async fn the_only_copy_of_a_stream_is_written_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let Some(trio) = start_in(Some(disk.path())).await else { return };
    let three = &trio.nodes[2];
    let context = jetstream::new(enter(trio.nodes[0].control_access()).await);
    let there = stream::Placement { tags: vec!["node:node-3".to_owned()], ..Default::default() };
    create(&context, stream::Config { placement: Some(there), ..stream("alone", 1) }).await;

    disk.fill_up_to(0);
    let stored = store_until_refused(&context, "alone").await;
    until_it_waits_for_room(three).await;
    disk.clear();
    until(three, "another server", is_whole_again).await;
    assert_eq!(stored_in(&context, "alone").await, stored, "what was acknowledged");
    until_stored(&context, "alone").await;
    trio.stop().await;
}
