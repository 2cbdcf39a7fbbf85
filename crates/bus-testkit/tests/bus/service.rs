//! The service identity: the data plane as whoever runs the server has it.

use bus_testkit::{BusRole, TestBus};

use super::support::{Watched, next};

#[tokio::test]
async fn the_service_identity_sees_and_forges_everything() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let _room = bus.plain_room(&alice, "diary").await.unwrap();
    let owner = Watched::connect(&bus, &alice).await;
    let mut at_owner = owner.subscribe("diary").await;

    let server = bus.service().await.unwrap();
    let mut overheard = server.subscribe("diary.>").await.unwrap();
    server.publish("diary", "forged".into()).await.unwrap();
    assert_eq!(next(&mut at_owner).await, "forged");
    // What came back to the owner went through the server after the subscription above.
    owner.publish("diary.today", "dear diary").await;
    assert_eq!(next(&mut overheard).await, "dear diary");
    bus.stop().await.unwrap();
}
