//! A revoked user is out of both planes when the call returns.

use bus_testkit::{BusRole, TestBus};
use control_api::{Me, ProblemCode};
use room_protocol::RoomRole;

use super::support::{Watched, next};

#[tokio::test]
async fn revocation_closes_both_planes_at_once() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let mallory = bus.admit("mallory", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "vault").await.unwrap();
    room.add(&mallory, RoomRole::Writer).await.unwrap();

    let owner = Watched::connect(&bus, &alice).await;
    let mut at_owner = owner.subscribe("vault.>").await;
    let mut revoked = Watched::connect(&bus, &mallory).await;
    let _messages = revoked.subscribe("vault.>").await;
    let requests = bus.control(&mallory);
    let _me: Me = requests.get("/v1/me").await.unwrap();

    bus.revoke(&mallory).await.unwrap();
    revoked.disconnected().await;
    assert!(bus.nats(&mallory).await.is_err(), "a revoked user logged in again");
    let refused = requests.get::<Me>("/v1/me").await.unwrap_err();
    assert_eq!(refused.problem().unwrap().code, ProblemCode::UserRevoked);

    owner.publish("vault.door", "still ours").await;
    assert_eq!(next(&mut at_owner).await, "still ours");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn revocation_outlives_a_restart() {
    let mut bus = TestBus::start().await.unwrap();
    let mallory = bus.admit("mallory", BusRole::Member).await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    bus.revoke(&mallory).await.unwrap();
    bus.restart().await.unwrap();
    assert!(bus.nats(&mallory).await.is_err(), "a revoked user logged in after a restart");
    assert!(bus.nats(&alice).await.is_ok());
    bus.stop().await.unwrap();
}
