//! Changes of membership reach open connections: no reconnect, and in force when the API call returns.

use bus_testkit::{BusRole, TestBus};
use control_api::{RoomInfo, RoomPatch};
use room_protocol::RoomRole;

use super::support::{Watched, next};

#[tokio::test]
async fn a_newcomer_uses_the_room_on_the_connection_it_has() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "garden").await.unwrap();

    let mut newcomer = Watched::connect(&bus, &bob).await;
    let _refused = newcomer.subscribe("garden.>").await;
    newcomer.refused("Subscription to \"garden.>\"").await;

    room.add(&bob, RoomRole::Writer).await.unwrap();
    let mut messages = newcomer.subscribe("garden.>").await;
    newcomer.publish("garden.gate", "open").await;
    assert_eq!(next(&mut messages).await, "open");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_removed_member_gets_and_sends_nothing_more() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "garden").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    let other = bus.plain_room(&bob, "kitchen").await.unwrap();

    let owner = Watched::connect(&bus, &alice).await;
    let mut at_owner = owner.subscribe("garden.>").await;
    let mut removed = Watched::connect(&bus, &bob).await;
    let mut at_removed = removed.subscribe("garden.>").await;
    owner.publish("garden.gate", "before").await;
    assert_eq!(next(&mut at_removed).await, "before");
    assert_eq!(next(&mut at_owner).await, "before");

    room.remove(bob.id()).await.unwrap();
    removed.refused("Subscription to \"garden.>\"").await;
    owner.publish("garden.gate", "after").await;
    removed.publish("garden.gate", "from outside").await;
    removed.refused("Publish to \"garden.gate\"").await;
    // What reaches the owner next is its own message: nothing slipped in between.
    assert_eq!(next(&mut at_owner).await, "after");
    owner.publish("garden.gate", "end").await;
    assert_eq!(next(&mut at_owner).await, "end");
    // The connection itself lives on, in the rooms it still has, and saw nothing of the other room: the next
    // thing it receives is this.
    let mut at_kitchen = removed.subscribe("kitchen").await;
    removed.publish(&other.subject(), "supper").await;
    assert_eq!(next(&mut at_kitchen).await, "supper");
    removed.client.flush().await.unwrap();
    assert!(
        futures_util::FutureExt::now_or_never(futures_util::StreamExt::next(&mut at_removed))
            .flatten()
            .is_none(),
        "a removed member received a message"
    );
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_writer_becomes_a_reader_and_a_writer_again() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "minutes").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();

    let mut member = Watched::connect(&bus, &bob).await;
    let mut messages = member.subscribe("minutes").await;
    member.publish("minutes", "one").await;
    assert_eq!(next(&mut messages).await, "one");

    room.set_role(bob.id(), RoomRole::Reader).await.unwrap();
    member.publish("minutes", "two").await;
    member.refused("Publish to \"minutes\"").await;

    room.set_role(bob.id(), RoomRole::Writer).await.unwrap();
    member.publish("minutes", "three").await;
    assert_eq!(next(&mut messages).await, "three");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_frozen_room_is_silent_until_it_is_thawed() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "lake").await.unwrap();
    let admin = bus.control(bus.admin());
    let path = format!("/v1/rooms/{}", room.id());

    let mut owner = Watched::connect(&bus, &alice).await;
    let mut messages = owner.subscribe("lake").await;
    owner.publish("lake", "liquid").await;
    assert_eq!(next(&mut messages).await, "liquid");

    let frozen: RoomInfo = admin.patch(&path, &RoomPatch { frozen: true }).await.unwrap();
    assert!(frozen.room.frozen);
    owner.refused("Subscription to \"lake\"").await;
    owner.publish("lake", "ice").await;
    owner.refused("Publish to \"lake\"").await;

    let _thawed: RoomInfo = admin.patch(&path, &RoomPatch { frozen: false }).await.unwrap();
    let mut messages = owner.subscribe("lake").await;
    owner.publish("lake", "liquid again").await;
    assert_eq!(next(&mut messages).await, "liquid again");
    bus.stop().await.unwrap();
}
