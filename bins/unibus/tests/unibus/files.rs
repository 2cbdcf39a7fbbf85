//! `unibus blob put|get|list|remove`

use crate::person::Person;
use bus_testkit::TestBus;
use control_api::BusRole;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_from_one_to_the_other() {
    let bus = TestBus::start().await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "lab.sensors"]).ok();
    alice.run(&["room", "add", "lab.sensors", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();
    let bob = Person::joined(&bus, &bob);
    let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let sent = alice.path("measurements.csv");
    fs::write(&sent, &content).unwrap();

    assert_eq!(bob.run(&["blob", "list", "lab.sensors"]).ok().stdout, "");
    let mut listening = bob.start(&["sub", "lab.sensors", "--count", "2"]);
    let mut as_json = bob.start(&["sub", "lab.sensors", "--json", "--count", "2"]);
    listening.remark_with("Listening");
    as_json.remark_with("Listening");
    let put = alice.run(&["blob", "put", "lab.sensors", sent.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!((&put["name"], &put["size"]), (&"measurements.csv".into(), &200_000.into()));
    let digest = put["digest"].as_str().unwrap().to_owned();
    let line = listening.line();
    assert!(line.contains("alice") && line.contains("measurements.csv"), "{line}");
    assert!(line.contains(&format!("unibus blob get lab.sensors {}", &digest[..12])), "{line}");
    let told: serde_json::Value = serde_json::from_str(&as_json.line()).unwrap();
    assert_eq!((&told["file"]["digest"], &told["verified"]), (&put["digest"], &true.into()));

    let listed = bob.run(&["blob", "list", "lab.sensors", "--json"]).ok().json();
    assert_eq!((&listed[0]["digest"], &listed[0]["handle"]), (&put["digest"], &"alice".into()));
    let got = bob.path("copy.csv");
    let get = |more: &[&str]| {
        let mut all = vec!["blob", "get", "lab.sensors", &digest[..8], "-o", got.to_str().unwrap(), "--json"];
        all.extend(more);
        bob.run(&all)
    };
    assert_eq!(get(&[]).ok().json()["size"], 200_000);
    assert_eq!(fs::read(&got).unwrap(), content);
    get(&[]).fails(6);
    get(&["--force"]).ok();

    bob.run(&["blob", "get", "lab.sensors", "abcdef012345"]).fails(5);
    bob.run(&["blob", "get", "lab.sensors", "abc"]).fails(2);
    bob.run(&["blob", "remove", "lab.sensors", &digest[..8]]).fails(4);
    alice.run(&["blob", "put", "lab.sensors", "/nowhere/at/all"]).fails(1);
    alice.run(&["blob", "remove", "lab.sensors", &digest]).ok();
    bob.run(&["blob", "get", "lab.sensors", &digest]).fails(5);
    alice.run(&["blob", "put", "lab.sensors", sent.to_str().unwrap(), "--silent"]).ok();
    alice.run(&["pub", "lab.sensors", "only this came"]).ok();
    assert!(listening.line().ends_with("only this came"));
    listening.finish().ok();
    as_json.finish().ok();
    bus.stop().await.unwrap();
}
