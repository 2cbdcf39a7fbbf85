//! The subject index against its definition, and the memory of a full view.

use std::process::{Command, Stdio};

use busauth::Identity;
use proptest::prelude::*;
use room_protocol::{Encryption, FirstOwner, History, Op, RoomLimits, RoomRole, RoomState, Statement};

use super::subjects::SubjectIndex;
use super::{MemberChange, RoomAccess, View, ViewLimits};
use crate::{BusRole, User};

fn overlaps(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase() + ".", other.to_ascii_lowercase() + ".");
    one.starts_with(&other) || other.starts_with(&one)
}

fn covers(room: &str, subject: &str) -> bool {
    (subject.to_ascii_lowercase() + ".").starts_with(&(room.to_ascii_lowercase() + "."))
}

/// Few tokens, so that overlaps are common; `-` sorts before `.`, letters after it.
fn subject() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec!["a", "A", "b", "a-", "ab", "a_"]);
    prop::collection::vec(token, 1..4).prop_map(|tokens| tokens.join("."))
}

proptest! {
    #[test]
    fn the_subject_index_finds_every_overlap(
        subjects in prop::collection::vec(subject(), 0..12),
        asked in subject(),
    ) {
        let mut index = SubjectIndex::default();
        let mut taken: Vec<String> = Vec::new();
        for (n, subject) in subjects.iter().enumerate() {
            let conflict = taken.iter().any(|other| overlaps(other, subject));
            prop_assert_eq!(index.overlapping(subject).is_some(), conflict);
            if !conflict {
                index.insert(subject, n as u32);
                taken.push(subject.clone());
            }
        }
        let covering = taken.iter().find(|room| covers(room, &asked));
        let number = covering.and_then(|room| subjects.iter().position(|subject| subject == room));
        prop_assert_eq!(index.covering(&asked), number.map(|n| n as u32));
        for room in &taken {
            index.remove(room);
        }
        prop_assert_eq!(index.overlapping(&asked), None);
    }
}

/// The limit for the process that holds a full view, and nothing else of size.
const MAX_BYTES: usize = 300_000_000;
/// Tells the process started by the test that it is to be measured.
const MEASURE: &str = "UNIBUS_TEST_MEASURE_VIEW";

/// Takes half a minute, so it runs with the long tests (`UNIBUS_LONG=1`). A process of its own is measured: others
/// of this binary run at the same time.
#[test]
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "the one place that starts a child; `output` reaps it")]
fn a_full_view_fits_in_its_memory() {
    if std::env::var_os("UNIBUS_LONG").is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "view::tests::the_process_that_is_measured", "--nocapture", "--test-threads=1"])
        .env(MEASURE, "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("the process runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = text.lines().find_map(|line| line.strip_prefix("resident ")).expect("a measurement");
    let bytes: usize = bytes.parse().expect("a number");
    assert!(bytes < MAX_BYTES, "{bytes} bytes");
}

/// Not a test by itself: see [`a_full_view_fits_in_its_memory`].
#[test]
#[cfg(target_os = "linux")]
fn the_process_that_is_measured() {
    if std::env::var_os(MEASURE).is_none() {
        return;
    }
    let view = full_view();
    let size = view.size();
    let limits = ViewLimits::default();
    assert_eq!((size.users, size.rooms, size.memberships), (limits.users, limits.rooms, limits.memberships));
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident size");
    let kilobytes: usize = kilobytes.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("\nresident {}", kilobytes * 1024);
}

/// As many users, rooms and memberships as the default limits allow.
fn full_view() -> View {
    let limits = ViewLimits::default();
    let view = View::new(limits);
    let mut ids = Vec::with_capacity(limits.users);
    let owner = Identity::generate();
    for n in 0..limits.users {
        let card = Identity::generate().card(None);
        let user = User {
            id: card.id,
            handle: format!("somebody-with-number-{n}").parse().expect("a handle"),
            login: card.login,
            exchange: card.exchange,
            certificates: card.certificates,
            role: BusRole::Member,
            created: 1,
            revoked: None,
        };
        ids.push(user.id);
        view.put_user(user);
    }
    let per_room = limits.memberships / limits.rooms;
    for n in 0..limits.rooms {
        let members = (0..per_room).map(|m| (ids[(n * 7 + m * 491) % ids.len()], RoomRole::Writer));
        view.put_room(room(&owner, n), &MemberChange::all(members.collect()));
    }
    view
}

fn room(owner: &Identity, n: usize) -> RoomAccess {
    let subject = format!("department-{n}.sensors.temperature");
    let op = Op::Create {
        name: subject.parse().expect("a room name"),
        subject: subject.parse().expect("a room subject"),
        encryption: Encryption::None,
        history: History::None,
        limits: RoomLimits::default(),
        owner: FirstOwner::new(owner, "owner".parse().expect("a handle")),
        epoch: None,
    };
    let state = RoomState::open(&Statement::first(op, 1).sign(owner)).expect("a valid first statement");
    RoomAccess::of(&state, false, 1)
}
