//! Rooms without encryption: plain NATS clients take part, and their messages are marked as unproven.

use bus_client::{Confirm, Encryption, RoomDraft, RoomRole, Trust};
use bus_testkit::TestBus;
use futures_util::StreamExt as _;

use super::support::{Person, message, tap, text, within};

#[tokio::test]
async fn plain_clients_are_heard_and_marked_unverified() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let bob = Person::join(&bus, "bob").await;
    let mut draft = RoomDraft::new("weather".parse().unwrap());
    draft.encryption = Encryption::None;
    let room = alice.bus.create_room(draft).await.unwrap();
    room.add(&bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    let mut heard = room.subscribe().await.unwrap();

    let plain = bus.nats(&bob.identity).await.unwrap();
    plain.publish("weather.rain", "12 mm".into()).await.unwrap();
    let unproven = message(&mut heard).await;
    assert_eq!((text(&unproven), unproven.trust, unproven.from), ("12 mm", Trust::Unverified, None));

    let nobody = format!("unibus.rpc.{}.nothing", bob.identity.id());
    let mut plain_heard = tap(&plain, "weather", &nobody).await;
    let at_bob = bob.bus.room("weather").await.unwrap();
    at_bob.publish("sunny").await.unwrap();
    let proven = message(&mut heard).await;
    assert_eq!(
        (text(&proven), proven.trust, proven.from),
        ("sunny", Trust::Verified, Some(bob.identity.id()))
    );
    let carried = within("message at the plain client", plain_heard.next()).await.unwrap();
    assert_eq!(carried.payload, "sunny");
    drop((heard, room, at_bob));
    alice.bus.shutdown().await.unwrap();
    bob.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}
