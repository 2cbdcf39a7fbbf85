//! `unibus queue create|list|remove|work`

use crate::person::Person;
use bus_testkit::TestBus;
use control_api::BusRole;
use std::fs;

/// Alice with a room that keeps messages and that Bob may write in.
async fn archive(bus: &TestBus) -> (Person, Person) {
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let alice = Person::joined(bus, &bus.admit("alice", BusRole::Member).await.unwrap());
    alice.run(&["room", "create", "archive", "--history"]).ok();
    alice.run(&["room", "add", "archive", "bob", "--fingerprint", &bob.id().fingerprint()]).ok();
    (alice, Person::joined(bus, &bob))
}

fn create(person: &Person, more: &[&str]) -> String {
    let mut arguments = vec!["queue", "create", "archive"];
    arguments.extend(more);
    person.run(&arguments).ok().stdout.trim().to_owned()
}

/// Messages that wait, and messages that were given out and not acknowledged.
fn counts(person: &Person, name: &str) -> (u64, u64) {
    let queues = person.run(&["queue", "list", "archive", "--json"]).ok().json();
    let queues = queues.as_array().unwrap();
    let queue = queues.iter().find(|queue| queue["name"] == name).unwrap();
    (queue["pending"].as_u64().unwrap(), queue["unacknowledged"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_a_queue() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob) = archive(&bus).await;
    let queue = create(&alice, &["--shared"]);
    let start = |person: &Person| {
        let done = person.path("done");
        let command = format!("cat >> '{}'", done.display());
        person.start(&["queue", "work", "archive", &queue, "--exec", &command, "--count", "3"])
    };
    let workers = [start(&alice), start(&bob)];
    alice.run_with_input(&["pub", "archive", "--lines"], "1,\n2,\n3,\n4,\n5,\n6,\n").ok();
    for worker in workers {
        worker.finish().ok();
    }
    let done = [&alice, &bob].map(|person| fs::read_to_string(person.path("done")).unwrap());
    let mut jobs: Vec<&str> = done.iter().flat_map(|done| done.split_terminator(',')).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["1", "2", "3", "4", "5", "6"], "each once, three for each of the two");
    assert_eq!(counts(&bob, &queue), (0, 0));
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_printed_is_acknowledged_and_what_failed_comes_again() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob) = archive(&bus).await;
    alice.run_with_input(&["pub", "archive", "--lines"], "one\ntwo\nthree\n").ok();
    let queue = create(&bob, &[]);
    let taken = bob.run(&["queue", "work", "archive", &queue[..8], "--count", "2", "--json"]).ok();
    let first: serde_json::Value = serde_json::from_str(taken.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&first["text"], &first["handle"]), (&"one".into(), &"alice".into()));
    assert_eq!(first["verified"], true);
    assert_eq!(counts(&bob, &queue), (1, 0), "nothing was taken beyond the count");

    let note = bob.path("note");
    let command = format!(
        "cat > '{0}'; echo \" $UNIBUS_HANDLE $UNIBUS_VERIFIED $UNIBUS_DELIVERY\" >> '{0}'; test $UNIBUS_DELIVERY -gt 1",
        note.display()
    );
    let work = ["queue", "work", "archive", &queue, "--exec", &command, "--retry-delay", "0", "--count", "2"];
    let outcome = bob.run(&work).ok();
    assert!(outcome.stderr.contains("goes back to the queue"), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(&note).unwrap(), "three alice true 2\n");
    assert_eq!(counts(&bob, &queue), (0, 0));
    let nothing = bob.run(&["queue", "work", "archive", &queue, "--until-empty", "--batch", "10"]).ok();
    assert_eq!(nothing.stdout, "");
    // A new queue begins anew; one that is bound ends with the last time.
    let bound = create(&bob, &["--max-deliver", "1", "--ack-wait", "60"]);
    bob.run(&["queue", "work", "archive", &bound, "--exec", "false", "--retry-delay", "0", "--until-empty"])
        .ok();
    assert_eq!(counts(&bob, &bound).0, 0, "each was given out once");
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_belong_to_somebody() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob) = archive(&bus).await;
    let (own, shared) = (create(&alice, &[]), create(&alice, &["--shared", "--filter", "archive.jobs.>"]));
    let listed = bob.run(&["queue", "list", "archive"]).ok().stdout;
    assert!(
        listed.contains(&shared) && listed.contains("alice") && listed.contains("archive.jobs.>"),
        "{listed}"
    );
    assert!(!listed.contains(&own), "it is hers alone");
    bob.run(&["queue", "work", "archive", &own, "--until-empty"]).fails(5);
    bob.run(&["queue", "remove", "archive", &shared]).fails(4);
    bob.run(&["queue", "work", "archive", "c_x"]).fails(2);
    bob.run(&["queue", "create", "archive", "--ack-wait", "0"]).fails(2);
    bob.run(&["queue", "create", "archive", "--filter", "elsewhere"]).fails(1);
    alice.run(&["room", "role", "archive", "bob", "reader"]).ok();
    bob.run(&["queue", "create", "archive"]).fails(4);
    bob.run(&["queue", "work", "archive", &shared, "--until-empty"]).fails(4);

    alice.run(&["queue", "remove", "archive", &own]).ok();
    alice.run(&["queue", "remove", "archive", &shared[..10], "--json"]).ok();
    let empty = alice.run(&["queue", "list", "archive"]).ok();
    assert!(empty.stdout.is_empty() && empty.stderr.contains("unibus queue create"), "{}", empty.stderr);
    alice.run(&["room", "create", "passing"]).ok();
    let refused = alice.run(&["queue", "create", "passing"]).fails(1);
    assert!(refused.stderr.contains("without history"), "{}", refused.stderr);
    bus.stop().await.unwrap();
}

/// While one of them is worked on, those that wait behind it are not given to anybody else either.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_batch_is_not_given_to_others() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob) = archive(&bus).await;
    alice.run_with_input(&["pub", "archive", "--lines"], "1,\n2,\n3,\n").ok();
    let queue = create(&alice, &["--shared", "--ack-wait", "3"]);
    // All three together take twice as long as each of them may.
    let done = alice.path("done");
    let command = format!("echo begun; sleep 2; cat >> '{}'", done.display());
    let work = ["queue", "work", "archive", &queue, "--exec", &command, "--batch", "3", "--count", "3"];
    let mut alices = alice.start(&work);
    assert_eq!(alices.line(), "begun");
    let twice = bob.path("twice");
    let mut bobs =
        bob.start(&["queue", "work", "archive", &queue, "--exec", &format!("touch '{}'", twice.display())]);
    bobs.remark_with("Working on");
    alices.finish().ok();
    assert_eq!(fs::read_to_string(&done).unwrap(), "1,2,3,");
    assert_eq!(counts(&alice, &queue), (0, 0));
    assert!(!twice.exists(), "somebody else was given what waited");
    bus.stop().await.unwrap();
}
