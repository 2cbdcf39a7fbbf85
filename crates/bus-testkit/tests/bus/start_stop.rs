//! A bus starts on free ports, keeps its data over a restart, and leaves nothing behind.

use std::net::TcpStream;

use bus_testkit::{BusRole, TestBus};
use control_api::{BusRole as Role, Me, Users};

#[tokio::test]
async fn many_buses_run_side_by_side_and_leave_nothing_behind() {
    let (one, two) = (TestBus::start().await.unwrap(), TestBus::start().await.unwrap());
    assert_ne!(one.control_addr(), two.control_addr());
    let me: Me = one.control(one.admin()).get("/v1/me").await.unwrap();
    assert_eq!((me.user.handle.as_str(), me.user.role), ("admin", Role::Admin));
    // Each knows its own people only.
    assert!(one.control(two.admin()).get::<Me>("/v1/me").await.is_err());

    let (ports, directory) = ([one.control_addr(), one.nats_addr()], one.scratch().to_owned());
    one.stop().await.unwrap();
    for port in ports {
        assert!(TcpStream::connect(port).is_err(), "{port} is still there");
    }
    assert!(!directory.exists(), "{} is still there", directory.display());
    two.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_a_bus_stops_it() {
    let bus = TestBus::start().await.unwrap();
    let address = bus.control_addr();
    drop(bus);
    assert!(TcpStream::connect(address).is_err(), "the bus is still there");
}

#[tokio::test]
async fn users_and_rooms_are_there_after_a_restart() {
    let mut bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room(&alice, "lab").await.unwrap();
    let before = bus.control_addr();
    bus.restart().await.unwrap();
    assert_eq!(bus.control_addr(), before);
    let client = bus.nats(&alice).await.unwrap();
    let mut messages = client.subscribe(room.subject()).await.unwrap();
    client.publish(room.subject(), "back".into()).await.unwrap();
    let message = super::support::next(&mut messages).await;
    assert_eq!(message, "back");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_the_connections_of_clients() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let mut client = super::support::Watched::connect(&bus, &alice).await;
    bus.stop().await.unwrap();
    client.disconnected().await;
}

#[tokio::test]
async fn the_admin_sees_everybody() {
    let bus = TestBus::start().await.unwrap();
    bus.admit("alice", BusRole::Member).await.unwrap();
    bus.admit("bob", BusRole::Guest).await.unwrap();
    let users: Users = bus.control(bus.admin()).get("/v1/users").await.unwrap();
    let mut handles: Vec<&str> = users.users.iter().map(|user| user.handle.as_str()).collect();
    handles.sort_unstable();
    assert_eq!(handles, ["admin", "alice", "bob"]);
    bus.stop().await.unwrap();
}
