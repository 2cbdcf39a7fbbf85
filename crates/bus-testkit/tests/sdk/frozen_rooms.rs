//! An administrator stops the traffic of a room and lifts that again.

use bus_client::{Bus, ErrorKind, Event, GapCause, MessageErrorKind, RoomRole, SubscribeOptions};
use bus_testkit::TestBus;
use serde_json::json;

use super::support::{Lab, SUBJECT, config, event, lied_to, message, refusal, text};

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
    // Both looks may fall together; then only the gap is known.
    let gap = refusal(&mut bob).await;
    assert!(matches!(gap.kind(), MessageErrorKind::Gap(GapCause::Frozen | GapCause::ShutOut)), "{gap:?}");
    lab.at_alice.publish("again").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "again");
    drop(bob);
    admin.shutdown().await.unwrap();
    lab.stop().await;
}

/// Whoever looks only after a room was frozen and thawed again sees nothing of it, but the bus has closed the subscription.
#[tokio::test]
async fn a_freeze_that_is_over_before_anybody_looks_is_a_gap_and_no_silence() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let admin = Bus::connect(config(&lab.bus, lab.bus.admin())).await.unwrap();
    let bus = Bus::connect(lied_to(&lab.bus, &lab.bob.identity)).await.unwrap();
    let room = bus.room(SUBJECT).await.unwrap();
    let mut bob = room.subscribe().await.unwrap();
    let path = format!("/v1/rooms/{}", room.id());
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.path() == path { answer.map_json(|info| info["frozen"] = json!(false)) } else { answer }
    });

    admin.set_frozen(&room.id(), true).await.unwrap();
    admin.set_frozen(&room.id(), false).await.unwrap();
    assert_eq!(refusal(&mut bob).await.kind(), &MessageErrorKind::Gap(GapCause::ShutOut));
    lab.at_alice.refresh().await.unwrap();
    lab.at_alice.publish("still there?").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "still there?");
    drop((bob, room));
    bus.shutdown().await.unwrap();
    admin.shutdown().await.unwrap();
    lab.stop().await;
}

/// A reader in a queue group would take messages away from others, so the bus does not take the subscription.
#[tokio::test]
async fn a_subscription_that_the_bus_never_takes_ends_with_the_reason() {
    let lab = Lab::open().await;
    lab.at_alice.set_role(&lab.bob.id(), RoomRole::Reader).await.unwrap();
    lab.at_bob.refresh().await.unwrap();
    let options = SubscribeOptions { queue: Some("workers".parse().unwrap()), ..SubscribeOptions::default() };
    let mut bob = lab.at_bob.subscribe_with(options).await.unwrap();
    loop {
        let error = refusal(&mut bob).await;
        match error.kind() {
            MessageErrorKind::Gap(GapCause::ShutOut) => {}
            other => break assert_eq!(other, &MessageErrorKind::NotAdmitted),
        }
    }
    assert!(bob.next().await.is_none());
    drop(bob);
    lab.stop().await;
}
