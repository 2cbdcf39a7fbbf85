//! A process that is killed in the middle of its writes loses none that was acknowledged and leaves none half.
//!
//! The writing process is this test binary, started again to run [`the_process_that_is_killed`] alone; it prints
//! a line for each write that was acknowledged.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use membership_store::conformance::check_view;
use membership_store::{BusRole, MembershipStore, SqliteStore, StoreError};
use rand::RngExt as _;
use room_protocol::{RoomLog, RoomRole, SignedStatement};

use crate::people::{NOW, Person};

/// Names the database to the process that is killed; it does nothing without.
const DATABASE: &str = "UNIBUS_TEST_CRASH_DATABASE";
const ROUNDS: usize = 8;
const LONG_ROUNDS: usize = 300;
/// A new database after so many rounds: every round reads all there is.
const ROUNDS_PER_DATABASE: usize = 12;
/// The writes of a round go on longer than this.
const LONGEST_LIFE: Duration = Duration::from_millis(250);
/// About as long as the process takes to start and to create or open the store.
const LONGEST_START: Duration = Duration::from_millis(60);

fn rounds() -> usize {
    if env::var_os("UNIBUS_LONG").is_some() { LONG_ROUNDS } else { ROUNDS }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts a child; it is killed and reaped below"
)]
fn start_writing(database: &Path) -> Child {
    Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "crash::the_process_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the process starts")
}

/// What the process is killed in.
#[derive(Clone, Copy, PartialEq)]
enum KilledIn {
    Start,
    Writes,
}

/// Lets the process go on for a random time, kills it (SIGKILL) and answers what it said was done.
fn write_until_killed(database: &Path, killed_in: KilledIn) -> Vec<String> {
    let mut child = start_writing(database);
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut acknowledged = Vec::new();
    let longest = match killed_in {
        KilledIn::Start => LONGEST_START,
        KilledIn::Writes => {
            // This line tells that the store is open; the life that is cut short starts there.
            let mut lines = lines.by_ref().map(|line| line.expect("a line"));
            assert!(
                lines.any(|line| line.ends_with("opened")),
                "the process ended before it opened the store"
            );
            LONGEST_LIFE
        }
    };
    let life = rand::rng().random_range(Duration::ZERO..longest);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(life);
        child.kill().expect("the process is killed");
        child.wait().expect("the process is reaped");
    });
    for line in lines.map_while(Result::ok) {
        acknowledged.extend(line.strip_prefix("done ").map(str::to_owned));
    }
    killer.join().expect("the killer ends");
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_a_kill_and_none_is_torn() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut writes_seen = 0;
    for round in 0..rounds() {
        let database = directory.path().join(format!("unibus-{}.db", round / ROUNDS_PER_DATABASE));
        let killed_in = if round % 4 == 0 { KilledIn::Start } else { KilledIn::Writes };
        let path = database.clone();
        let acknowledged = tokio::task::spawn_blocking(move || write_until_killed(&path, killed_in)).await;
        let acknowledged = acknowledged.expect("the round runs");
        let store = SqliteStore::open(&database).await.expect("the store opens after a kill");
        check_view(&store).await;
        writes_seen += check_acknowledged(&store, &acknowledged).await;
        check_rooms(&store).await;
        store.close().await;
    }
    assert!(writes_seen > 0, "no round got as far as a write");
}

/// Each line is `user <id>`, `room <id>` or `head <room> <seq>.<hash>`.
async fn check_acknowledged(store: &SqliteStore, acknowledged: &[String]) -> usize {
    for line in acknowledged {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["user", id] => drop(store.user(&id.parse().expect("an id")).await.expect("the user is there")),
            ["room", id] => drop(store.room(&id.parse().expect("an id")).await.expect("the room is there")),
            ["head", id, head] => {
                let head: room_protocol::Head = head.parse().expect("a head");
                let entries = store.log(&id.parse().expect("an id"), head.seq, 1).await.expect("the log");
                let entry: SignedStatement = entries[0].parse().expect("the entry is whole");
                assert_eq!(entry.head(), head);
            }
            _ => panic!("an unknown line: {line}"),
        }
    }
    acknowledged.len()
}

/// Every log verifies from its first entry and leads to the stored state.
pub(crate) async fn check_rooms(store: &dyn MembershipStore) {
    let rooms = store.rooms(membership_store::Page::first(1_000)).await.expect("rooms");
    for room in rooms.items {
        let mut entries: Vec<SignedStatement> = Vec::new();
        loop {
            let from = entries.len() as u64 + 1;
            let part = store.log(&room.id, from, 1_000).await.expect("the log");
            if part.is_empty() {
                break;
            }
            entries.extend(part.iter().map(|jws| jws.parse::<SignedStatement>().expect("a whole entry")));
        }
        let log = RoomLog::verify(entries).expect("the log verifies");
        let stored = store.room(&room.id).await.expect("the room");
        assert_eq!(log.head(), stored.state.head());
        assert_eq!(*log.state(), *stored.state);
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent listens");
}

/// Not a test by itself: see the module.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(database) = env::var_os(DATABASE) else { return };
    let store = SqliteStore::open(database).await.expect("the store opens");
    say("\nopened");
    let (ann, bob) = (Person::number(1), Person::number(2));
    for person in [&ann, &bob] {
        match store.add_user(person.new_user(BusRole::Admin)).await {
            Ok(user) => say(&format!("done user {}", user.id)),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let n = store.view().size().rooms as u64;
    let room = ann.new_room(&format!("room-{n}"), NOW + n);
    store.create_room(room.clone()).await.expect("a room is created");
    let id = room.state().id();
    say(&format!("done room {id}"));
    let mut state = room.state().clone();
    for n in 0_u64.. {
        let append = if n % 10 == 5 {
            let op = if state.role_of(&bob.identity.id()).is_none() {
                bob.added_as(RoomRole::Writer)
            } else {
                room_protocol::Op::Remove { user: bob.identity.id(), epoch: None }
            };
            ann.try_append(&state, op).expect("a valid statement")
        } else {
            ann.rename(&state, &format!("{n} {}", "x".repeat(100)))
        };
        let next = append.next().clone();
        store.append(append).await.expect("a statement is appended");
        say(&format!("done head {id} {}", next.head()));
        state = next;
    }
}
