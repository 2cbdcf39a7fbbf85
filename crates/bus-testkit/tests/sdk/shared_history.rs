//! Rooms that share their history hand newcomers the keys of what came before.

use bus_client::{Confirm, History, RoomDraft, RoomRole};
use bus_testkit::TestBus;

use super::support::{Person, message, text};

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
