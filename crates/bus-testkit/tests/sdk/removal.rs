//! Who is removed hears nothing more and cannot read what follows.

use bus_client::{Confirm, ErrorKind, Event, MessageErrorKind, RoomRole, UserRef};
use room_protocol::SealedKey;

use super::support::{Lab, Person, SUBJECT, event, item, message, text, within};

#[tokio::test]
async fn a_removed_member_is_cut_off_and_has_no_key_for_what_follows() {
    let lab = Lab::open().await;
    let carol = Person::join(&lab.bus, "carol").await;
    lab.at_alice.add(&carol.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();
    let at_carol = carol.bus.room(SUBJECT).await.unwrap();
    let mut heard_by_carol = at_carol.subscribe().await.unwrap();
    let mut heard_by_bob = lab.at_bob.subscribe().await.unwrap();
    let mut events = lab.bob.bus.events();
    let before = lab.at_alice.state().epoch().unwrap();

    lab.at_alice.remove(&"bob".parse::<UserRef>().unwrap()).await.unwrap();
    let after = lab.at_alice.state().epoch().unwrap();
    assert_eq!(after.n, before.n + 1);
    event(&mut events, "loss of the room", |event| matches!(event, Event::RoomLost { .. })).await;
    // Whatever was on its way; then the end, and why.
    let last = loop {
        if let Err(error) = item(&mut heard_by_bob).await {
            break error;
        }
    };
    assert_eq!(last.kind(), &MessageErrorKind::RoomLost);
    assert!(within("end of the subscription", heard_by_bob.next()).await.is_none());
    assert_eq!(lab.at_bob.publish("still here?").await.unwrap_err().kind(), ErrorKind::NotAMember);

    lab.at_alice.publish("without bob").await.unwrap();
    assert_eq!(text(&message(&mut heard_by_carol).await), "without bob");
    drop((heard_by_bob, heard_by_carol, at_carol));
    carol.bus.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn readers_read_and_do_not_write() {
    let lab = Lab::open().await;
    lab.at_alice.set_role(&lab.bob.id(), RoomRole::Reader).await.unwrap();
    lab.at_bob.refresh().await.unwrap();
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    assert_eq!(lab.at_bob.publish("may I?").await.unwrap_err().kind(), ErrorKind::NotPermitted);
    assert_eq!(lab.at_bob.rekey().await.unwrap_err().kind(), ErrorKind::NotPermitted);
    lab.at_alice.publish("listen").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "listen");
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_newcomer_gets_no_key_of_what_came_before() {
    let lab = Lab::open().await;
    let carol = Person::join(&lab.bus, "carol").await;
    lab.at_alice.add(&carol.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    let epoch = lab.at_alice.state().epoch().unwrap().n;
    let path = format!("/v1/rooms/{}/keys", lab.at_alice.id());
    let keys: control_api::Keys = lab.bus.control(&carol.identity).get(&path).await.unwrap();
    let epochs: Vec<u64> = keys.keys.iter().map(|copy| copy.epoch).collect();
    assert_eq!(epochs, [epoch]);
    // And the one it got is sealed to carol alone.
    let sealed: SealedKey = keys.keys[0].sealed;
    let state = lab.at_alice.state();
    let open = |identity| sealed.open(identity, &state.key_context(epoch), &state.epoch().unwrap());
    assert!(open(&carol.identity).is_ok());
    assert!(open(&lab.bob.identity).is_err());
    carol.bus.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn two_owners_changing_a_room_at_once_both_succeed() {
    let lab = Lab::open().await;
    lab.at_alice.set_role(&lab.bob.id(), RoomRole::Owner).await.unwrap();
    lab.at_bob.refresh().await.unwrap();
    let before = lab.at_alice.state().epoch().unwrap().n;
    let (alice, bob) = tokio::join!(lab.at_alice.rekey(), lab.at_bob.rekey());
    alice.unwrap();
    bob.unwrap();
    assert_eq!(lab.at_alice.refresh().await.unwrap().epoch().unwrap().n, before + 2);
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    lab.at_alice.publish("on the newest key").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "on the newest key");
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_member_added_again_uses_the_room_it_holds() {
    let lab = Lab::open().await;
    let mut events = lab.bob.bus.events();
    lab.at_alice.remove(&lab.bob.id()).await.unwrap();
    event(&mut events, "loss of the room", |event| matches!(event, Event::RoomLost { .. })).await;
    lab.at_alice.add(&lab.bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    event(&mut events, "return", |event| matches!(event, Event::RoomAdded { .. })).await;
    lab.at_bob.refresh().await.unwrap();
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    lab.at_alice.publish("welcome back").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "welcome back");
    // And bob hears of changes again.
    lab.at_alice.rekey().await.unwrap();
    let opened = lab.at_alice.state().epoch().unwrap().n;
    let changed = |event: &Event| matches!(event, Event::EpochChanged { epoch, .. } if *epoch == opened);
    event(&mut events, "new epoch", changed).await;
    drop(bob);
    lab.stop().await;
}
