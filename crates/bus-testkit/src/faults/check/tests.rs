//! The checker on histories whose truth is known: those of a bus that keeps its promises, and the same with one thing wrong.

mod world;

use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample::Index;

use super::{Bounds, Violation, check};
use crate::faults::record::{
    Entry, Message, Moment, Node, Nonce, Operation, Outcome, Received, Room, SeenLog, User, Write,
};
use world::{LEFT, OWNER, QUIET, STALENESS, World, worlds};

const BOUNDS: Bounds = Bounds { staleness: STALENESS };

/// Something that cannot be right, put into a world, and whether a violation is the one that it should lead to.
type Planted = Box<dyn Fn(&Violation) -> bool>;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bus_that_keeps_its_promises_is_found_to(world in worlds()) {
        let violations = check(&world.record, &world.snapshots, BOUNDS);
        prop_assert!(violations.is_empty(), "{:?}", violations);
    }

    #[test]
    fn whatever_is_wrong_is_found(world in worlds(), what in any::<Index>(), at in any::<Index>()) {
        let mut world = world;
        let plant = PLANTS[what.index(PLANTS.len())];
        let is_it = plant(&mut world, at);
        let violations = check(&world.record, &world.snapshots, BOUNDS);
        prop_assert!(violations.iter().any(is_it), "{} was not found in {:?}", what.index(PLANTS.len()), violations);
    }
}

const PLANTS: [fn(&mut World, Index) -> Planted; 14] = [
    a_lost_entry,
    a_lost_message,
    a_refused_entry_that_is_there,
    a_refused_message_that_is_there,
    a_message_that_nobody_sent,
    a_message_kept_twice,
    another_order_on_one_node,
    a_fork,
    an_entry_that_vanished,
    a_nonce_accepted_twice,
    a_message_after_a_removal,
    a_message_after_a_revocation,
    a_use_after_a_removal,
    a_use_beyond_the_bound,
];

fn node(world: &World, at: Index) -> usize {
    at.index(world.snapshots.len())
}

fn done(world: &World, at: Index, matches: impl Fn(&Write) -> bool) -> Write {
    let done =
        |operation: &&Operation| operation.outcome == Outcome::Acknowledged && matches(&operation.write);
    let found: Vec<&Operation> = world.record.operations.iter().filter(done).collect();
    at.get(&found).write
}

fn a_lost_entry(world: &mut World, at: Index) -> Planted {
    let place = node(world, at);
    let is_entry =
        |write: &Write| matches!(write, Write::Create { .. } | Write::Add { .. } | Write::Remove { .. });
    let (Write::Create { room, entry } | Write::Add { room, entry, .. } | Write::Remove { room, entry, .. }) =
        done(world, at, is_entry)
    else {
        unreachable!("only such were asked for")
    };
    world.snapshots[place].logs.get_mut(&room).unwrap().retain(|kept| *kept != entry);
    Box::new(move |found| *found == Violation::LostEntry { node: Node(place), room, entry })
}

fn a_lost_message(world: &mut World, at: Index) -> Planted {
    let place = node(world, at);
    let Write::Publish { room, message } = done(world, at, |write| matches!(write, Write::Publish { .. }))
    else {
        unreachable!("only such were asked for")
    };
    world.snapshots[place].messages.get_mut(&room).unwrap().retain(|kept| *kept != message);
    Box::new(move |found| *found == Violation::LostMessage { node: Node(place), room, message })
}

fn a_refused_entry_that_is_there(world: &mut World, at: Index) -> Planted {
    let (place, entry) = (node(world, at), Entry(u64::MAX));
    world.asks(OWNER, Write::Add { room: QUIET, user: LEFT, entry }, Outcome::Refused);
    world.snapshots[place].logs.get_mut(&QUIET).unwrap().push(entry);
    Box::new(move |found| *found == Violation::RefusedEntry { node: Node(place), room: QUIET, entry })
}

fn a_refused_message_that_is_there(world: &mut World, at: Index) -> Planted {
    world.asks(OWNER, Write::Publish { room: QUIET, message: Message(u64::MAX) }, Outcome::Refused);
    a_message_that_nobody_sent(world, at)
}

fn a_message_that_nobody_sent(world: &mut World, at: Index) -> Planted {
    let (place, message) = (node(world, at), Message(u64::MAX));
    world.snapshots[place].messages.get_mut(&QUIET).unwrap().push(message);
    Box::new(move |found| *found == Violation::RefusedMessage { node: Node(place), room: QUIET, message })
}

fn a_message_kept_twice(world: &mut World, at: Index) -> Planted {
    let place = node(world, at);
    let kept = world.snapshots[place].messages.get_mut(&QUIET).unwrap();
    let message = *at.get(kept);
    kept.push(message);
    Box::new(move |found| *found == Violation::Repeated { node: Node(place), room: QUIET, message })
}

fn another_order_on_one_node(world: &mut World, at: Index) -> Planted {
    let place = node(world, at);
    world.snapshots[place].messages.get_mut(&QUIET).unwrap().reverse();
    Box::new(|found| matches!(found, Violation::Different { room: QUIET, .. }))
}

fn a_fork(world: &mut World, at: Index) -> Planted {
    let place = at.index(world.snapshots[0].logs[&QUIET].len());
    let seen = SeenLog { node: Node(1), room: QUIET, skipped: place, entries: vec![Entry(u64::MAX)] };
    world.record.logs.push(seen);
    Box::new(move |found| matches!(found, Violation::Fork { room: QUIET, at, .. } if *at == place))
}

fn an_entry_that_vanished(world: &mut World, at: Index) -> Planted {
    let (place, length) = (node(world, at), world.snapshots[0].logs[&QUIET].len());
    let seen = SeenLog { node: Node(1), room: QUIET, skipped: length, entries: vec![Entry(u64::MAX)] };
    world.record.logs.push(seen);
    Box::new(move |found| *found == Violation::Vanished { node: Node(place), room: QUIET, at: length })
}

fn a_nonce_accepted_twice(world: &mut World, at: Index) -> Planted {
    let spent = |operation: &&Operation| {
        operation.outcome == Outcome::Acknowledged && matches!(operation.write, Write::Spend { .. })
    };
    let found: Vec<Operation> = world.record.operations.iter().filter(spent).copied().collect();
    let Operation { by: user, write, .. } = *at.get(&found);
    let Write::Spend { nonce } = write else { unreachable!("only such were asked for") };
    world.asks(user, write, Outcome::Acknowledged);
    Box::new(move |found| *found == Violation::NonceTwice { user, nonce })
}

fn a_message_after_a_removal(world: &mut World, _: Index) -> Planted {
    reached(world, LEFT)
}

fn a_message_after_a_revocation(world: &mut World, _: Index) -> Planted {
    let user = User(77);
    let entry = Entry(u64::MAX - 1);
    world.asks(OWNER, Write::Add { room: QUIET, user, entry }, Outcome::Acknowledged);
    for snapshot in &mut world.snapshots {
        snapshot.logs.get_mut(&QUIET).unwrap().push(entry);
    }
    world.asks(OWNER, Write::Revoke { user }, Outcome::Acknowledged);
    reached(world, user)
}

fn reached(world: &mut World, user: User) -> Planted {
    let message = Message(u64::MAX);
    world.asks(OWNER, Write::Publish { room: QUIET, message }, Outcome::Acknowledged);
    for snapshot in &mut world.snapshots {
        snapshot.messages.get_mut(&QUIET).unwrap().push(message);
    }
    let at = world.record.ended;
    world.record.received.push(Received { user, room: QUIET, message, at });
    let is_it = move |found: &Violation| matches!(found, Violation::ReceivedWithoutMembership { user: whom, room: QUIET, .. } if *whom == user);
    Box::new(is_it)
}

fn a_use_after_a_removal(world: &mut World, _: Index) -> Planted {
    used(world, LEFT)
}

fn a_use_beyond_the_bound(world: &mut World, _: Index) -> Planted {
    let user = User(78);
    let write = Write::Add { room: QUIET, user, entry: Entry(u64::MAX - 1) };
    world.asks(OWNER, write, Outcome::Acknowledged);
    let write = Write::Remove { room: QUIET, user, entry: Entry(u64::MAX - 2) };
    world.asks(OWNER, write, Outcome::Pending);
    let violations = check(&world.record, &[], BOUNDS);
    let write = Write::Publish { room: QUIET, message: Message(u64::MAX - 3) };
    world.asks(user, write, Outcome::Acknowledged);
    assert_eq!(violations, check(&world.record, &[], BOUNDS), "within the bound it may be used");
    world.record.ended = world.record.ended.after(STALENESS);
    used(world, user)
}

fn used(world: &mut World, user: User) -> Planted {
    let write = Write::Publish { room: QUIET, message: Message(u64::MAX) };
    world.asks(user, write, Outcome::Acknowledged);
    Box::new(
        move |found| matches!(found, Violation::UsedWithoutRight { user: who, room: Some(QUIET), .. } if *who == user),
    )
}

#[test]
fn what_overlaps_may_have_happened_in_either_order() {
    let ms = |ms| Moment(Duration::from_millis(ms));
    let mut world = World::default();
    let (room, by) = (Room(0), OWNER);
    let mut asks = |by, write, began, ended| {
        let (began, ended) = (ms(began), ms(ended));
        let outcome = Outcome::Acknowledged;
        world.record.operations.push(Operation { by, node: Node(0), write, began, ended, outcome });
    };
    asks(by, Write::Create { room, entry: Entry(1) }, 0, 10);
    asks(by, Write::Add { room, user: LEFT, entry: Entry(2) }, 20, 30);
    asks(by, Write::Remove { room, user: LEFT, entry: Entry(3) }, 40, 60);
    asks(LEFT, Write::Publish { room, message: Message(1) }, 59, 80);
    asks(LEFT, Write::Spend { nonce: Nonce(1) }, 100, 110);
    assert_eq!(check(&world.record, &[], BOUNDS), []);
    world.record.operations[3].began = ms(61);
    let late = Violation::UsedWithoutRight { user: LEFT, room: Some(room), at: ms(61) };
    assert_eq!(check(&world.record, &[], BOUNDS), [late]);
    // An add that nobody knows the outcome of may have been done since.
    let entry = Entry(4);
    let add = Write::Add { room, user: LEFT, entry };
    let (began, ended, outcome) = (ms(35), ms(38), Outcome::Unknown);
    world.record.operations.push(Operation { by, node: Node(0), write: add, began, ended, outcome });
    assert_eq!(check(&world.record, &[], BOUNDS), []);
}
