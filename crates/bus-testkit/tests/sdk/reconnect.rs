//! The bus goes away and comes back; subscriptions live on and say that something may be missing.

use bus_client::{Bus, ErrorKind, Event, MessageErrorKind};

use super::support::{Lab, SUBJECT, config, event, item, text, within};

#[tokio::test]
async fn after_a_restart_of_the_bus_the_conversation_goes_on() {
    let mut lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let (mut alices, mut bobs) = (lab.alice.bus.events(), lab.bob.bus.events());
    lab.bus.restart().await.unwrap();
    event(&mut alices, "reconnection of alice", |event| *event == Event::Reconnected).await;
    event(&mut bobs, "reconnection of bob", |event| *event == Event::Reconnected).await;
    let gap = item(&mut bob).await.unwrap_err();
    assert!(matches!(gap.kind(), MessageErrorKind::Gap(_)), "{gap}");
    lab.at_alice.publish("still there?").await.unwrap();
    assert_eq!(text(&item(&mut bob).await.unwrap()), "still there?");
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_client_stops_also_when_the_bus_is_gone() {
    let Lab { bus, alice, bob, at_alice, at_bob } = Lab::open().await;
    let messages = at_bob.subscribe().await.unwrap();
    let mut events = bob.bus.events();
    bus.stop().await.unwrap();
    event(&mut events, "loss of the connection", |event| *event == Event::Disconnected).await;
    drop((messages, at_alice, at_bob));
    bob.bus.shutdown().await.unwrap();
    drop(alice);
}

#[tokio::test]
async fn nothing_runs_on_after_a_shutdown() {
    let lab = Lab::open().await;
    let other = Bus::connect(config(&lab.bus, &lab.bob.identity)).await.unwrap();
    let room = other.room(SUBJECT).await.unwrap();
    let mut messages = room.subscribe().await.unwrap();
    let mut events = other.events();
    other.shutdown().await.unwrap();
    assert!(within("end of the subscription", messages.next()).await.is_none());
    assert_eq!(room.publish("anybody?").await.unwrap_err().kind(), ErrorKind::Closed);
    drop((messages, room));
    // The last of it is gone, so nothing will ever be told again.
    within("end of the events", async { while events.next().await.is_some() {} }).await;
    lab.stop().await;
}
