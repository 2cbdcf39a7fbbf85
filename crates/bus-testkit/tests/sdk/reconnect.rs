//! The bus goes away and comes back; subscriptions live on and say that something may be missing.

use bus_client::{Event, MessageErrorKind};

use super::support::{Lab, event, item, text};

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
