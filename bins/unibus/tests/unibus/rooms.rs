//! `unibus room`

use crate::person::Person;
use bus_testkit::TestBus;
use control_api::BusRole;

/// Handles and roles of a room's members, sorted.
fn members(room: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let member = |member: &serde_json::Value| (text(&member["handle"]), text(&member["role"]));
    let mut members: Vec<_> = room["members"].as_array().unwrap().iter().map(member).collect();
    members.sort();
    members
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_made_and_its_members_managed() {
    let bus = TestBus::start().await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());

    let made = alice.run(&["room", "create", "lab.sensors", "--name", "Sensors", "--json"]).ok().json();
    assert_eq!(made["encryption"], "e2e");
    assert_eq!(made["epoch"], 1);

    let fingerprint = bob.id().fingerprint();
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &fingerprint]).ok();
    alice.run(&["room", "role", "lab.sensors", "bob", "reader"]).ok();
    let shown = alice.run(&["room", "show", "Sensors", "--json"]).ok().json();
    let pair = |handle: &str, role: &str| (handle.to_owned(), role.to_owned());
    assert_eq!(members(&shown), [pair("alice", "owner"), pair("bob", "reader")]);

    alice.run(&["room", "remove", "lab.sensors", "bob"]).ok();
    let rekeyed = alice.run(&["room", "rekey", "lab.sensors", "--json"]).ok().json();
    assert_eq!(members(&rekeyed), [pair("alice", "owner")]);
    assert_eq!(rekeyed["epoch"], 4, "added, removed and rekeyed after the first");

    let log = alice.run(&["room", "log", "lab.sensors", "--json"]).ok().json();
    let what: Vec<&str> =
        log.as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(
        what,
        [
            "makes the room lab.sensors",
            "adds bob as writer",
            "makes bob reader",
            "removes bob",
            "gives the room key number 4"
        ]
    );
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_is_added_only_after_their_fingerprint_was_compared() {
    let bus = TestBus::start().await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let mallory = bus.admit("mallory", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "lab.sensors"]).ok();

    let refused = alice.run(&["room", "add", "lab.sensors", "bob"]).fails(7);
    assert!(refused.stderr.contains(&bob.id().fingerprint()), "{refused:?}");
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &mallory.id().fingerprint()]).fails(8);
    let shown = alice.run(&["room", "show", "lab.sensors", "--json"]).ok().json();
    assert_eq!(members(&shown).len(), 1);

    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_and_closing_end_it() {
    let bus = TestBus::start().await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    let bob_person = Person::joined(&bus, &bob);
    alice.run(&["room", "create", "lab.sensors"]).ok();
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();

    bob_person.run(&["room", "leave", "lab.sensors"]).ok();
    assert_eq!(bob_person.run(&["room", "list", "--json"]).ok().json().as_array().unwrap().len(), 0);

    alice.run(&["room", "close", "lab.sensors"]).fails(7);
    alice.run(&["room", "close", "lab.sensors", "--yes"]).ok();
    let refused = alice.run(&["pub", "lab.sensors", "hello"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_not_there_or_taken_has_its_own_code() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "show", "nowhere"]).fails(5);
    alice.run(&["room", "create", "lab.sensors"]).ok();
    alice.run(&["room", "create", "lab.sensors.north"]).fails(6);
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_changed_hands_is_an_alarm_until_a_person_decides() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let mallory = bus.admit("mallory", BusRole::Member).await.unwrap();
    let alice =
        Person::joined_at(&bus.proxy().unwrap().url(), &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "lab.sensors"]).ok();
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();
    alice.run(&["room", "remove", "lab.sensors", "bob"]).ok();

    // The server says that bob is mallory now.
    bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.query() != Some("handle=bob") {
            return answer;
        }
        let mallory = mallory.clone();
        answer.map_json(move |json| {
            let user = &mut json["users"][0];
            let certificates = serde_json::to_value(mallory.certificates()).unwrap();
            user["id"] = mallory.id().to_string().into();
            user["login"] = mallory.login_key().to_string().into();
            user["exchange"] = mallory.exchange_key().to_string().into();
            user["certificates"] = certificates;
        })
    });
    let refused = alice.run(&["room", "add", "lab.sensors", "bob"]).fails(8);
    assert!(refused.stderr.contains("unibus user forget"), "{refused:?}");

    alice.run(&["user", "forget", "bob"]).ok();
    // From here on it is a first meeting: the fingerprint shows who it is.
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob.id().fingerprint()]).fails(8);
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shortened_log_stops_sending_until_a_person_decides() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let proxy = bus.proxy().unwrap();
    let alice = Person::joined_at(&proxy.url(), &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "lab.sensors"]).ok();
    let first = alice.run(&["room", "show", "lab.sensors", "--json"]).ok().json();
    let (seq, hash) = first["head"].as_str().unwrap().split_once('.').unwrap();
    let head = format!("{seq}.{hash}");
    alice.run(&["room", "rekey", "lab.sensors"]).ok();

    proxy.tell(move |asked, answer| {
        if !asked.reads_log() {
            return answer;
        }
        let (seq, hash) = head.split_once('.').unwrap();
        let head = serde_json::json!({ "seq": seq.parse::<u64>().unwrap(), "hash": hash });
        answer.map_json(move |json| *json = serde_json::json!({ "entries": [], "head": head }))
    });
    alice.run(&["pub", "lab.sensors", "hello"]).fails(8);
    assert_eq!(alice.run(&["room", "show", "lab.sensors", "--json"]).ok().json()["log"], "rolled back");

    proxy.tell_the_truth();
    alice.run(&["room", "trust", "lab.sensors", "--offer"]).ok();
    alice.run(&["pub", "lab.sensors", "hello"]).ok();
    bus.stop().await.unwrap();
}
