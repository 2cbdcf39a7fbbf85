//! `unibus user`

use crate::person::Person;
use bus_testkit::TestBus;
use control_api::BusRole;

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_admits_changes_and_revokes() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let bob = Person::new();
    bob.run(&["id", "new", "--handle", "bob"]).ok();
    let card = bob.run(&["id", "show", "--card"]).ok().stdout;

    let added = admin.run(&["user", "add", card.trim(), "--json"]).ok().json();
    assert_eq!(added["handle"], "bob");
    let id = bob.run(&["id", "show", "--json"]).ok().json();
    let shown = admin.run(&["user", "show", "bob", "--json"]).ok().json();
    assert_eq!((&shown["id"], &shown["fingerprint"]), (&id["id"], &id["fingerprint"]));
    assert_eq!(admin.run(&["user", "role", "bob", "guest", "--json"]).ok().json()["role"], "guest");

    bob.run(&["join", &bus.control_url()]).ok();
    bob.run(&["room", "create", "lab.sensors"]).fails(4);

    admin.run(&["user", "revoke", "bob"]).fails(7);
    admin.run(&["user", "revoke", "bob", "--yes"]).ok();
    bob.run(&["status"]).fails(4);
    let users = admin.run(&["user", "list", "--json"]).ok().json();
    let revoked = users.as_array().unwrap().iter().find(|user| user["handle"] == "bob").unwrap();
    assert!(revoked["revoked"].is_string(), "{revoked}");
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_change_users() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    bus.admit("bob", BusRole::Member).await.unwrap();
    alice.run(&["user", "revoke", "bob", "--yes"]).fails(4);
    alice.run(&["user", "role", "bob", "admin"]).fails(4);
    assert!(alice.run(&["user", "show", "nobody-here"]).fails(5).stderr.contains("nobody-here"));
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_was_tampered_with_is_a_usage_failure() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    admin.run(&["user", "add", "unibus1:AAAA"]).fails(2);
    bus.stop().await.unwrap();
}
