//! Rooms that share their history hand newcomers the keys of what came before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bus_client::{Bus, BusRole, Confirm, ErrorKind, History, RoomDraft, RoomRole};
use bus_testkit::{Answer, TestBus};
use http::{Method, StatusCode};
use serde_json::json;

use super::support::{Person, lied_to, message, text};

#[tokio::test]
async fn a_newcomer_gets_the_keys_of_all_epochs() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let bob = Person::join(&bus, "bob").await;
    let mut draft = RoomDraft::new("archive".parse().unwrap());
    draft.history = History::Shared;
    let room = alice.bus.create_room(draft).await.unwrap();
    room.rekey().await.unwrap();
    room.rekey().await.unwrap();
    room.add(&bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();

    let keys: control_api::Keys =
        bus.control(&bob.identity).get(&format!("/v1/rooms/{}/keys", room.id())).await.unwrap();
    let epochs: Vec<u64> = keys.keys.iter().map(|copy| copy.epoch).collect();
    assert_eq!(epochs, [1, 2, 3]);
    let (state, log) = (room.state(), room_protocol::RoomLog::verify(room.log()).unwrap());
    for copy in &keys.keys {
        let epoch = log.epoch(copy.epoch).unwrap();
        copy.sealed.open(&bob.identity, &state.key_context(copy.epoch), &epoch).unwrap();
    }
    let at_bob = bob.bus.room("archive").await.unwrap();
    let mut heard = room.subscribe().await.unwrap();
    at_bob.publish("thank you").await.unwrap();
    assert_eq!(text(&message(&mut heard).await), "thank you");
    drop((heard, room, at_bob));
    alice.bus.shutdown().await.unwrap();
    bob.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

/// Who was added when the older keys could not be handed over gets them when they are added again.
#[tokio::test]
async fn keys_that_were_not_handed_over_are_handed_over_by_adding_again() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let bob = Person::join(&bus, "bob").await;
    let identity = bus.admit("alice", BusRole::Member).await.unwrap();
    let alice = Person { bus: Bus::connect(lied_to(&bus, &identity)).await.unwrap(), identity };
    let mut draft = RoomDraft::new("archive".parse().unwrap());
    draft.history = History::Shared;
    let room = alice.bus.create_room(draft).await.unwrap();
    room.rekey().await.unwrap();
    let handed_over = Arc::new(AtomicUsize::new(0));
    let counted = handed_over.clone();
    bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.method() == Method::PUT && asked.path().ends_with("/keys") {
            counted.fetch_add(1, Ordering::AcqRel);
            return Answer::made_up(StatusCode::INSUFFICIENT_STORAGE, &json!({}));
        }
        answer
    });
    let half = room.add(&bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap_err();
    assert!(half.to_string().contains("add them again"), "{half}");
    assert!(room.state().member(&bob.identity.id()).is_some(), "bob is in the room");

    let before = handed_over.load(Ordering::Acquire);
    room.add(&bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap_err();
    assert!(handed_over.load(Ordering::Acquire) > before, "the keys were sent once more");
    bus.proxy().unwrap().tell_the_truth();
    room.add(&bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    let other_role = room.add(&bob.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap_err();
    assert_eq!(other_role.kind(), ErrorKind::Conflict, "that is another change");
    drop(room);
    alice.bus.shutdown().await.unwrap();
    bob.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}
