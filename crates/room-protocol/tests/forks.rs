//! Two histories of one room are noticed wherever they meet.

use room_protocol::{
    Encryption, Extended, Fork, HeadComparison, LogError, LogLie, Op, RoomLimits, RoomLog, RoomRole,
    Violation,
};

use crate::support::{PLAIN, PRIVATE, Room, SHARED};

fn renamed(name: &str) -> Op {
    Op::Update { name: name.parse().unwrap(), limits: RoomLimits::default() }
}

/// One room, told to two members in two ways from entry 4 on.
fn two_histories() -> (Room, Room) {
    let mut ours = Room::of_three(PRIVATE);
    let mut theirs = ours.clone();
    ours.say(0, renamed("Ours"));
    theirs.say(0, renamed("Theirs"));
    for _ in 0..5 {
        ours.say(0, renamed("Ours"));
        theirs.say(0, renamed("Theirs"));
    }
    (ours, theirs)
}

#[test]
fn the_place_where_histories_part_is_found() {
    let (ours, theirs) = two_histories();
    let fork = ours.log.fork_with(&theirs.log).unwrap();
    assert_eq!(fork.seq, 4);
    assert_eq!(fork.ours, ours.log.hash_at(4).unwrap());
    assert_eq!(fork.theirs, theirs.log.hash_at(4).unwrap());
    let beginning = RoomLog::verify(ours.log.entries()[..3].iter().cloned()).unwrap();
    assert_eq!(ours.log.fork_with(&beginning), None);
    assert_eq!(theirs.log.fork_with(&ours.log.clone()).map(|fork| fork.seq), Some(4));
}

#[test]
fn one_entry_of_another_history_is_proof() {
    let (mut ours, theirs) = two_histories();
    let entry = theirs.log.entries()[3].clone();
    let fork = Fork { seq: 4, ours: ours.log.hash_at(4).unwrap(), theirs: entry.hash() };
    assert_eq!(ours.log.extend(entry, 1), Err(LogError::Forked(fork)));
    // A later one does not follow anything that we have, so it is no valid entry of our room at that place.
    let entry = theirs.log.entries()[5].clone();
    let expected = ours.log.hash_at(5).unwrap();
    let violation = Violation::WrongPrevious { expected };
    assert_eq!(ours.log.extend(entry, 1), Err(LogError::Violation { seq: 6, violation }));
}

#[test]
fn what_is_no_valid_entry_is_no_proof() {
    let (mut ours, _) = two_histories();
    let before = Room { log: RoomLog::verify(ours.log.entries()[..3].iter().cloned()).unwrap() };
    let by_a_writer = before.entry(1, renamed("Mine"));
    assert!(matches!(
        ours.log.extend(by_a_writer, 1),
        Err(LogError::Violation { seq: 4, violation: Violation::NotAnOwner(_) })
    ));
    let another_room = Room::new(PLAIN).log.entries()[0].clone();
    let violation = Violation::OtherRoom { expected: ours.id() };
    assert_eq!(ours.log.extend(another_room, 1), Err(LogError::Violation { seq: 1, violation }));
}

#[test]
fn known_entries_change_nothing() {
    let mut room = Room::of_three(SHARED);
    let head = room.log.head();
    for entry in room.log.entries().to_vec() {
        assert_eq!(room.log.extend(entry, 5), Ok(Extended::Known));
    }
    assert_eq!(room.log.head(), head);
    let next = room.entry(0, renamed("Next"));
    assert_eq!(room.log.extend(next, 7), Ok(Extended::Appended));
    assert_eq!(room.log.learned_at(head.seq), Some(0));
    assert_eq!(room.log.learned_at(head.seq + 1), Some(7));
    assert_eq!(room.log.entries_after(head.seq).len(), 1);
    assert_eq!(room.log.entries_after(100), []);
}

#[test]
fn a_refused_entry_leaves_the_log_as_it_was() {
    let mut room = Room::of_three(PRIVATE);
    let before = room.log.state().clone();
    let entry = room.entry(1, Op::Close {});
    assert!(room.log.extend(entry, 1).is_err());
    assert_eq!(room.log.state(), &before);
    assert_eq!(room.log.entries().len(), 3);
}

#[test]
fn heads_are_compared() {
    let (ours, theirs) = two_histories();
    let log = &ours.log;
    let beginning = RoomLog::verify(log.entries()[..3].iter().cloned()).unwrap();
    assert_eq!(log.compare(&log.head()), HeadComparison::Same);
    assert_eq!(log.compare(&beginning.head()), HeadComparison::Behind);
    assert_eq!(beginning.compare(&log.head()), HeadComparison::Ahead);
    assert!(matches!(log.compare(&theirs.log.head()), HeadComparison::Forked(Fork { seq: 9, .. })));
}

#[test]
fn a_server_that_takes_entries_back_is_caught() {
    let (ours, theirs) = two_histories();
    let pinned = ours.log.head();
    assert_eq!(ours.log.check_pinned(&pinned), Ok(()));
    let offered = RoomLog::verify(ours.log.entries()[..4].iter().cloned()).unwrap();
    let lie = LogLie::RolledBack { pinned, offered: offered.head() };
    assert_eq!(offered.check_pinned(&pinned), Err(lie));
    let fork = Fork { seq: 9, ours: pinned.hash, theirs: theirs.log.head().hash };
    assert_eq!(theirs.log.check_pinned(&pinned), Err(LogLie::Forked(fork)));
}

#[test]
fn an_empty_log_is_no_room() {
    assert_eq!(RoomLog::verify([]).unwrap_err(), LogError::Empty);
}

#[test]
fn what_replaces_the_state_a_message_was_written_on() {
    let mut room = Room::of_three(PRIVATE);
    let bob = crate::support::person(1).id();
    assert_eq!(room.log.superseded_by(&bob, 3), None);
    // In a room that keeps its history from newcomers every newcomer opens an epoch.
    assert_eq!(room.log.superseded_by(&bob, 2), Some(3));
    room.say(0, Room::set_role(1, RoomRole::Reader));
    assert_eq!(room.log.superseded_by(&bob, 3), Some(4));
    room.say(0, Room::set_role(1, RoomRole::Writer));
    assert_eq!(room.log.superseded_by(&bob, 3), None);
    room.say(0, Op::Close {});
    assert_eq!(room.log.superseded_by(&bob, 3), Some(6));
    assert_eq!(room.state().encryption(), Encryption::E2e);
}
