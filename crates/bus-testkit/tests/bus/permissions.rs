//! What a stock client may do in a room without encryption, and what it is refused.

use bus_testkit::{BusRole, TestBus};
use busauth::Identity;
use room_protocol::RoomRole;

use super::support::{Watched, next};

#[tokio::test]
async fn members_exchange_messages_within_their_room() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Guest).await.unwrap();
    let room = bus.plain_room(&alice, "lab.sensors").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();

    let alice = Watched::connect(&bus, &alice).await;
    let bob = Watched::connect(&bus, &bob).await;
    let mut at_alice = alice.subscribe("lab.sensors.>").await;
    let mut at_bob = bob.subscribe("lab.sensors").await;
    bob.publish("lab.sensors.temperature", "21.5").await;
    alice.publish("lab.sensors", "thanks").await;
    assert_eq!(next(&mut at_alice).await, "21.5");
    assert_eq!(next(&mut at_bob).await, "thanks");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_outside_the_own_rooms_can_be_reached() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let mallory = bus.admit("mallory", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "lab.sensors").await.unwrap();
    let _own = bus.plain_room(&mallory, "mallory").await.unwrap();

    let mut intruder = Watched::connect(&bus, &mallory).await;
    let inbox = format!("_INBOX_{}.>", alice.id());
    let room_events = format!("unibus.event.room.{}", room.id());
    for subject in
        ["lab.sensors", "lab.sensors.>", "lab.>", ">", "*.sensors", "$SYS.>", "$KV.>", &inbox, &room_events]
    {
        let _subscriber = intruder.subscribe(subject).await;
        intruder.refused(&format!("Subscription to \"{subject}\"")).await;
    }
    let reply_space = format!("unibus.reply.{}.x", room.id());
    let foreign_request = format!("unibus.rpc.{}.history", alice.id());
    for subject in [
        "lab.sensors",
        "lab.sensors.temperature",
        "labs",
        "$JS.API.STREAM.LIST",
        &reply_space,
        &foreign_request,
    ] {
        intruder.publish(subject, "intruder").await;
        intruder.refused(&format!("Publish to \"{subject}\"")).await;
    }
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_reader_reads_and_does_not_write() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "news").await.unwrap();
    room.add(&bob, RoomRole::Reader).await.unwrap();

    let owner = Watched::connect(&bus, &alice).await;
    let mut reader = Watched::connect(&bus, &bob).await;
    let mut at_reader = reader.subscribe("news.>").await;
    let mut at_owner = owner.subscribe("news.>").await;
    reader.publish("news.forged", "extra").await;
    reader.refused("Publish to \"news.forged\"").await;
    owner.publish("news.today", "calm").await;
    assert_eq!(next(&mut at_reader).await, "calm");
    assert_eq!(next(&mut at_owner).await, "calm");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_cannot_make_a_member_publish_elsewhere() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "shared").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    let _secret = bus.plain_room(&alice, "secret").await.unwrap();

    let mut asker = Watched::connect(&bus, &bob).await;
    for reply in ["secret.door", "$JS.API.STREAM.DELETE.x", "$KV.bucket.key"] {
        asker.client.publish_with_reply("shared", reply.to_owned(), "ask".into()).await.unwrap();
        asker.settle().await;
        asker.refused(reply).await;
    }
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_allowlist_gets_in() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let stranger = Identity::generate();
    assert!(bus.nats(&stranger).await.is_err(), "a stranger was let in");
    assert!(async_nats::connect(bus.nats_url()).await.is_err(), "somebody without a key was let in");
    // The signing key is on the allowlist, but only login keys answer nonces.
    let swapped = Identity::from_seeds([1; 32], [2; 32], [3; 32]);
    assert!(bus.nats(&swapped).await.is_err(), "an unknown login key was let in");
    assert!(bus.nats(&alice).await.is_ok());
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_reader_cannot_take_messages_from_a_queue_group() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "jobs").await.unwrap();
    room.add(&bob, RoomRole::Reader).await.unwrap();

    let owner = Watched::connect(&bus, &alice).await;
    let mut reader = Watched::connect(&bus, &bob).await;
    let mut worker = owner.client.queue_subscribe("jobs", "workers".to_owned()).await.unwrap();
    owner.settle().await;
    let _stolen = reader.client.queue_subscribe("jobs", "workers".to_owned()).await.unwrap();
    reader.settle().await;
    reader.refused("Subscription to \"jobs\"").await;
    for job in ["one", "two", "three"] {
        owner.publish("jobs", job).await;
        assert_eq!(next(&mut worker).await, job);
    }
    bus.stop().await.unwrap();
}

/// What a client may take of the server's memory is bounded.
#[tokio::test]
async fn a_subscription_has_a_bounded_depth() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let _room = bus.plain_room(&alice, "lab").await.unwrap();
    let mut alice = Watched::connect(&bus, &alice).await;
    let deep = format!("lab{}", ".x".repeat(40));
    let _subscriber = alice.subscribe(&deep).await;
    alice.refused("too many tokens").await;
    bus.stop().await.unwrap();
}
