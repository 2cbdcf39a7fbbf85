//! `unibus pub` and `unibus sub`

use crate::person::Person;
use bus_testkit::TestBus;
use busauth::Identity;
use control_api::BusRole;
use std::sync::Arc;

/// Alice with a room that Bob is in, and both at their terminals.
async fn room(bus: &TestBus) -> (Person, Person, Arc<Identity>) {
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "lab.sensors"]).ok();
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();
    (alice, Person::joined(bus, &bob), bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_publishes_the_other_reads_verified() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob, _) = room(&bus).await;
    let mut listening = bob.start(&["sub", "lab.sensors", "--json", "--count", "3"]);
    listening.remark_with("Listening");

    alice.run(&["pub", "lab.sensors", "21.5 °C"]).ok();
    alice.run_with_input(&["pub", "lab.sensors", "-"], "two\nlines").ok();
    alice.run(&["pub", "lab.sensors", "--on", "north.door", "open"]).ok();

    let first: serde_json::Value = serde_json::from_str(&listening.line()).unwrap();
    assert_eq!(first["text"], "21.5 °C");
    assert_eq!(first["handle"], "alice");
    assert_eq!(first["verified"], true);
    assert_eq!(first["subject"], "lab.sensors");
    let second: serde_json::Value = serde_json::from_str(&listening.line()).unwrap();
    assert_eq!(second["text"], "two\nlines");
    let third: serde_json::Value = serde_json::from_str(&listening.line()).unwrap();
    assert_eq!(third["subject"], "lab.sensors.north.door");
    listening.finish().ok();
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_can_be_a_message() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob, _) = room(&bus).await;
    let mut listening = alice.start(&["sub", "lab.sensors", "--count", "2"]);
    listening.remark_with("Listening");
    let published = bob.run_with_input(&["pub", "lab.sensors", "--lines", "--json"], "one\ntwo\n").ok();
    assert_eq!(published.stdout.lines().count(), 2);
    assert!(listening.line().ends_with("bob  one"));
    assert!(listening.line().ends_with("bob  two"));
    listening.finish().ok();
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_stops_reading() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob, _) = room(&bus).await;
    let mut listening = bob.start(&["sub", "lab.sensors"]);
    listening.remark_with("Listening");
    alice.run(&["room", "remove", "lab.sensors", "bob"]).ok();
    let outcome = listening.finish().fails(4);
    assert_eq!(outcome.stdout, "");
    bob.run(&["pub", "lab.sensors", "let me in"]).fails(5);
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_not_write() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob, _) = room(&bus).await;
    alice.run(&["room", "role", "lab.sensors", "bob", "reader"]).ok();
    bob.run(&["pub", "lab.sensors", "hello"]).fails(4);
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_can_be_read_by_who_comes_later() {
    let bus = TestBus::start().await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "archive", "--history", "--keep", "100"]).ok();
    alice.run_with_input(&["pub", "archive", "--lines"], "one\ntwo\nthree\n").ok();
    alice.run(&["room", "add", "archive", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();

    let bob = Person::joined(&bus, &bob);
    let read = bob.run(&["sub", "archive", "--history", "2", "--count", "2", "--json"]).ok();
    let texts: Vec<serde_json::Value> =
        read.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&texts[0]["text"], &texts[1]["text"]), (&"two".into(), &"three".into()));
    assert_eq!(texts[0]["handle"], "alice");
    let mut listening = bob.start(&["sub", "archive", "--since", "1h", "--count", "4"]);
    for said in ["one", "two", "three"] {
        assert!(listening.line().ends_with(said));
    }
    alice.run(&["pub", "archive", "four"]).ok();
    assert!(listening.line().ends_with("alice  four"));
    listening.finish().ok();

    alice.run(&["room", "create", "chat"]).ok();
    let refused = alice.run(&["sub", "chat", "--history", "1"]).fails(1);
    assert!(refused.stderr.contains("without history"), "{}", refused.stderr);
    alice.run(&["sub", "archive", "--since", "soon"]).fails(2);
    bus.stop().await.unwrap();
}

/// What a server says, and what a member names, could otherwise move the cursor or reorder what is read.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_others_do_not_take_over_the_terminal() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let (alice, bob, bob_identity) = room(&bus).await;
    let mut listening = alice.start(&["sub", "lab.sensors", "--count", "1"]);
    listening.remark_with("Listening");
    bob.run(&["pub", "lab.sensors", "--on", "a\u{202e}b", "hello"]).ok();
    let line = listening.line();
    assert!(line.contains("[a\u{fffd}b]") && line.ends_with("hello"), "{line:?}");
    listening.finish().ok();

    let lied_to = Person::joined_at(&bus.proxy().unwrap().url(), &bob_identity);
    bus.proxy().unwrap().tell(|asked, answer| match asked.path() {
        "/v1/info" => answer.map_json(|info| info["name"] = "\u{1b}]0;fine\u{7}".into()),
        "/v1/users" => {
            answer.map_json(|problem| problem["detail"] = "\u{1b}[2J\u{9b}1mfine\nerror: ask mallory".into())
        }
        _ => answer,
    });
    let status = lied_to.run(&["status"]).ok();
    assert!(status.stdout.contains("fine") && !status.stdout.contains('\u{1b}'), "{status:?}");
    let card = lied_to.run(&["id", "show", "--card"]).ok().stdout;
    let refused = lied_to.run(&["user", "add", card.trim(), "--handle", "carol"]).fails(4);
    assert!(refused.stderr.contains("fine"), "{refused:?}");
    assert!(!refused.stderr.contains(['\u{1b}', '\u{9b}']), "{refused:?}");
    assert!(!refused.stderr.contains("\nerror:"), "a line of the server passes for one of ours: {refused:?}");
    bus.stop().await.unwrap();
}
