//! An administrator stops the traffic of a room and lifts that again.

use bus_client::{Bus, ErrorKind, Event, GapCause, MessageErrorKind};

use super::support::{Lab, config, event, message, refusal, text};

#[tokio::test]
async fn a_frozen_room_is_silent_until_it_thaws() {
    let lab = Lab::open().await;
    let admin = Bus::connect(config(&lab.bus, lab.bus.admin())).await.unwrap();
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let (mut alices, mut bobs) = (lab.alice.bus.events(), lab.bob.bus.events());

    admin.set_frozen(&lab.at_alice.id(), true).await.unwrap();
    let frozen = |event: &Event| matches!(event, Event::RoomFrozen { frozen: true, .. });
    event(&mut alices, "freeze at alice", frozen).await;
    event(&mut bobs, "freeze at bob", frozen).await;
    assert_eq!(lab.at_alice.publish("anybody?").await.unwrap_err().kind(), ErrorKind::RoomFrozen);

    admin.set_frozen(&lab.at_alice.id(), false).await.unwrap();
    let thawed = |event: &Event| matches!(event, Event::RoomFrozen { frozen: false, .. });
    event(&mut alices, "thaw at alice", thawed).await;
    event(&mut bobs, "thaw at bob", thawed).await;
    assert_eq!(refusal(&mut bob).await.kind(), &MessageErrorKind::Gap(GapCause::Frozen));
    lab.at_alice.publish("again").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "again");
    drop(bob);
    admin.shutdown().await.unwrap();
    lab.stop().await;
}
