//! Hints on the data plane: something changed, come and look.

use bus_testkit::{BusRole, TestBus};
use control_api::{RoomEvent, UserEvent, subjects};
use room_protocol::RoomRole;

use super::support::{Watched, next};

#[tokio::test]
async fn members_hear_that_the_log_moved_and_newcomers_that_they_were_added() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "lab").await.unwrap();

    let owner = Watched::connect(&bus, &alice).await;
    let newcomer = Watched::connect(&bus, &bob).await;
    let mut of_room = owner.subscribe(subjects::room_event(&room.id()).as_str()).await;
    let mut of_user = newcomer.subscribe(subjects::user_event(&bob.id()).as_str()).await;
    room.add(&bob, RoomRole::Reader).await.unwrap();

    let event: RoomEvent = serde_json::from_str(&next(&mut of_room).await).unwrap();
    assert_eq!(event, RoomEvent::Log { room: room.id(), head_seq: 2 });
    let event: UserEvent = serde_json::from_str(&next(&mut of_user).await).unwrap();
    assert_eq!(event, UserEvent::Added { room: room.id() });
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_else_can_make_up_a_hint() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "lab").await.unwrap();
    let mut owner = Watched::connect(&bus, &alice).await;
    let subject = subjects::room_event(&room.id());
    owner.publish(subject.as_str(), "{}").await;
    owner.refused(&format!("Publish to \"{subject}\"")).await;
    bus.stop().await.unwrap();
}
