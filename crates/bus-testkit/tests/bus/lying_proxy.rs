//! The lying proxy itself: honest until told otherwise, and signatures stay valid through it.

use bus_testkit::{Answer, BusRole, ControlClient, TestBus};
use control_api::{Log, Me};
use http::StatusCode;

#[tokio::test]
async fn signed_requests_pass_and_answers_change_when_told_to() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "lab").await.unwrap();
    let proxy = bus.proxy().unwrap();
    let through = ControlClient::new(proxy.address(), alice.clone());

    let me: Me = through.get("/v1/me").await.unwrap();
    assert_eq!(me.user.handle.as_str(), "alice");

    let log = format!("/v1/rooms/{}/log", room.id());
    let honest: Log = through.get(&log).await.unwrap();
    assert_eq!(honest.entries.len(), 1);
    proxy.tell(|asked, answer| {
        if asked.reads_log() { answer.map_json(|log| log["entries"] = serde_json::json!([])) } else { answer }
    });
    let withheld: Log = through.get(&log).await.unwrap();
    assert_eq!(withheld.entries.len(), 0);
    // Only answers are touched, and only those the lie is about.
    let me: Me = through.get("/v1/me").await.unwrap();
    assert_eq!(me.rooms.len(), 1);

    proxy.tell_the_truth();
    let honest: Log = through.get(&log).await.unwrap();
    assert_eq!(honest.entries.len(), 1);
    proxy.tell(|_, _| Answer::made_up(StatusCode::IM_A_TEAPOT, &serde_json::json!({})));
    assert!(through.get::<Me>("/v1/me").await.is_err());
    bus.stop().await.unwrap();
}
