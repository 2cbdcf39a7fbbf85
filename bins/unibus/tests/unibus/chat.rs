//! `unibus chat`, with pipes in place of terminals.

use crate::person::Person;
use bus_testkit::TestBus;
use control_api::BusRole;

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk() {
    let bus = TestBus::start().await.unwrap();
    let bob_identity = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    let bob = Person::joined(&bus, &bob_identity);
    alice.run(&["room", "create", "lab.sensors"]).ok();
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob_identity.id().fingerprint()]).ok();

    let mut alices = alice.start(&["chat", "lab.sensors"]);
    alices.line_with("Members: alice (owner), bob (writer)");
    let mut bobs = bob.start(&["chat", "lab.sensors"]);
    bobs.line_with("Members:");

    alices.say("hello bob");
    assert!(bobs.line_with("hello bob").contains("alice"));
    bobs.say("hello alice");
    // Her own words do not come back to her: the next line is his.
    let answer = alices.line();
    assert!(answer.contains("bob") && answer.ends_with("hello alice"), "{answer}");

    bobs.say("/wave");
    bobs.line_with("/wave means nothing here");
    bobs.say("/quit");
    bobs.finish().ok();

    // Who leaves the room for good is announced to those who stay.
    bob.run(&["room", "leave", "lab.sensors"]).ok();
    alices.line_with("bob is no longer a member.");
    alices.finish().ok();
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_remembers_shows_what_was_said_last() {
    let bus = TestBus::start().await.unwrap();
    let bob_identity = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    let bob = Person::joined(&bus, &bob_identity);
    alice.run(&["room", "create", "archive", "--history"]).ok();
    alice.run(&["room", "add", "archive", "bob", "--fingerprint", &bob_identity.id().fingerprint()]).ok();
    let said: Vec<String> = (1..=25).map(|n| format!("message {n}")).collect();
    alice.run_with_input(&["pub", "archive", "--lines"], &said.join("\n")).ok();

    let mut bobs = bob.start(&["chat", "archive"]);
    bobs.line_with("Members:");
    for n in 6..=25 {
        let line = bobs.line();
        assert!(line.contains("alice") && line.ends_with(&format!("message {n}")), "{line}");
    }
    let mut alices = alice.start(&["chat", "archive", "--history", "1"]);
    alices.line_with("Members:");
    assert!(alices.line().ends_with("message 25"), "her own of before, too");
    alices.say("hello bob");
    assert!(bobs.line().ends_with("hello bob"));
    bobs.say("hello alice");
    assert!(alices.line().ends_with("hello alice"), "her own of now do not come back");
    alices.finish().ok();
    bobs.finish().ok();

    alice.run(&["room", "create", "passing"]).ok();
    let refused = alice.run(&["chat", "passing", "--history", "3"]).fails(1);
    assert!(refused.stderr.contains("without history"), "{}", refused.stderr);
    bus.stop().await.unwrap();
}
