//! `unibus join` and `unibus status`

use crate::person::Person;
use bus_testkit::TestBus;

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_joins_with_an_identity_file() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let status = admin.run(&["status", "--json"]).ok().json();
    assert_eq!(status["id"], bus.admin().id().to_string());
    assert_eq!(status["role"], "admin");
    assert_eq!(status["bus"], bus.control_url());
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_a_card_and_is_in_once_admitted() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let bob = Person::new();
    let refused = bob.run(&["join", &bus.control_url()]).fails(4);
    let card = bob.run(&["id", "show", "--card"]).ok().stdout;
    assert!(refused.stderr.contains(card.trim()), "{refused:?}");

    admin.run(&["user", "add", card.trim(), "--handle", "bob"]).ok();
    let status = bob.run(&["status", "--json"]).ok().json();
    assert_eq!((status["handle"].as_str(), status["role"].as_str()), (Some("bob"), Some("member")));
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_belongs_to_one_bus() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let outcome = admin.run(&["join", "http://127.0.0.1:1"]).fails(6);
    assert!(outcome.stderr.contains("--context"), "{outcome:?}");
    assert_eq!(admin.run(&["status", "--json"]).ok().json()["bus"], bus.control_url());
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_not_there_is_worth_another_try() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    bus.stop().await.unwrap();
    admin.run(&["status"]).fails(3);
}

#[test]
fn plaintext_to_another_machine_is_refused() {
    let outcome = Person::new().run(&["join", "http://192.0.2.1:8470"]).fails(1);
    assert!(outcome.stderr.to_lowercase().contains("tls") || outcome.stderr.contains("https"), "{outcome:?}");
}
