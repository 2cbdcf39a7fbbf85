//! What people see when the disk of the bus is full.

use crate::person::Person;
use bus_testkit::{SmallDisk, TestBus};
use control_api::BusRole;

const MIB: u64 = 1024 * 1024;
/// The disk of the streams counts as full when less than 256 MiB are free.
const DISK: u64 = 512 * MIB;
const ALMOST_NOTHING: u64 = 128 * MIB;
/// Here not even what is small is written any more.
const NOTHING: u64 = 32 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_said_to_whoever_sends_it() {
    let Some(disk) = SmallDisk::mount(DISK).unwrap() else { return };
    let streams = disk.path("streams").display().to_string();
    let bus = TestBus::builder().flags(|flags| flags.nats_store = Some(streams)).start().await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "archive", "--history"]).ok();
    alice.run(&["pub", "archive", "before"]).ok();

    disk.fill_up_to(ALMOST_NOTHING).unwrap();
    let refused = alice.run(&["pub", "archive", "lost"]).fails(3);
    assert!(refused.stderr.contains("the disk of the bus is full"), "{}", refused.stderr);
    assert!(refused.stderr.contains("operator"), "it says what to do: {}", refused.stderr);
    let refused = alice.run_with_input(&["pub", "archive", "--lines", "--json"], "one\ntwo\n").fails(3);
    assert_eq!(refused.stdout, "", "nothing is called stored");
    // Whoever is there hears it all the same, and what is there already can be read.
    let mut listening = alice.start(&["sub", "archive", "--history", "5", "--count", "2"]);
    assert!(listening.line().ends_with("before"));
    listening.remark_with("Listening");
    alice.run(&["pub", "archive", "only live"]).fails(3);
    assert!(listening.line().ends_with("only live"));
    listening.finish().ok();

    let mut chat = alice.start(&["chat", "archive"]);
    chat.line_with("Members:");
    chat.say("hello");
    chat.line_with("not stored, the disk of the bus is full");
    chat.finish().ok();

    // What keeps nothing goes on.
    alice.run(&["room", "create", "passing"]).ok();
    alice.run(&["pub", "passing", "hello"]).ok();

    disk.clear().unwrap();
    alice.run(&["pub", "archive", "after"]).ok();
    assert_eq!(kept(&alice, "archive", 2), ["before", "after"]);
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_any_room_keeps_nobody_out() {
    let Some(disk) = SmallDisk::mount(DISK).unwrap() else { return };
    let streams = disk.path("streams").display().to_string();
    let mut bus = TestBus::builder().flags(|flags| flags.nats_store = Some(streams)).start().await.unwrap();
    let alice = Person::joined(&bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "archive", "--history"]).ok();
    alice.run(&["pub", "archive", "before"]).ok();

    disk.fill_up_to(NOTHING).unwrap();
    let refused = alice.run(&["room", "create", "another", "--history"]).fails(3);
    assert!(refused.stderr.contains("the disk of the bus has no room"), "{}", refused.stderr);
    bus.restart().await.unwrap();
    assert_eq!(kept(&alice, "archive", 1), ["before"]);
    let refused = alice.run(&["pub", "another", "lost"]).fails(3);
    assert!(refused.stderr.contains("keeps nothing of this room now"), "{}", refused.stderr);

    disk.clear().unwrap();
    bus.restart().await.unwrap();
    alice.run(&["pub", "another", "stored"]).ok();
    assert_eq!(kept(&alice, "another", 1), ["stored"]);
    bus.stop().await.unwrap();
}

/// The last words of what a room keeps.
fn kept(person: &Person, room: &str, count: usize) -> Vec<String> {
    let read = person.run(&["sub", room, "--history", "9", "--count", &count.to_string()]).ok();
    read.stdout.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}
