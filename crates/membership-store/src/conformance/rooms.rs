//! Rules of rooms: creation, subjects, members, freezing, deletion.

use busauth::UserId;
use room_protocol::{Encryption, History, Op, RoomRole, RoomState};

use super::world::{NOW, Person, World};
use crate::{BusRole, Conflict, NewRoom, Page, StoreError};

/// Rounds of a race; each is a chance for both sides to win.
const ROUNDS: usize = 50;

fn plain(owner: &Person, subject: &str) -> NewRoom {
    owner.new_room(subject, Encryption::None, History::None)
}

pub(super) async fn a_created_room_is_read_back(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let room = ann.new_room("lab.sensors", Encryption::E2e, History::None);
    let state = room.state().clone();
    world.store.create_room(room.clone()).await.expect("the room is created");
    let again = world.store.create_room(room.clone()).await;
    assert_eq!(again, Err(Conflict::RoomExists.into()));

    for reopen in [false, true] {
        if reopen {
            world.reopen().await;
        }
        let record = world.store.room(&state.id()).await.expect("the room is stored");
        assert_eq!(*record.state, *state);
        assert_eq!((record.frozen, record.created), (false, NOW));
        let log = world.store.log(&state.id(), 1, 10).await.expect("the log is stored");
        assert_eq!(log, [room.first().as_str()]);
        let view = world.store.view();
        let access = view.room(&state.id()).expect("the room is in view");
        assert_eq!((access.subject.as_str(), access.epoch), ("lab.sensors", Some(1)));
        assert_eq!(view.role_of(&state.id(), &ann.identity.id()), Some(RoomRole::Owner));
        assert_eq!(view.room_of_subject("LAB.sensors.kitchen").map(|room| room.id), Some(state.id()));
        assert!(view.room_of_subject("lab.sensorsx").is_none());
    }
    let unknown = plain(&ann, "other").state().id();
    assert_eq!(world.store.room(&unknown).await.map(drop), Err(StoreError::NotFound));
    assert_eq!(world.store.log(&unknown, 1, 10).await, Err(StoreError::NotFound));
}

pub(super) async fn overlapping_subjects_are_refused(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let taken = world.create(&ann, "Lab.Sensors").await;
    let conflict = StoreError::Conflict(Conflict::SubjectOverlaps(taken.subject().clone()));
    for subject in ["Lab.Sensors", "lab.sensors", "lab", "LAB", "lab.sensors.kitchen", "Lab.Sensors.a.b.c"] {
        let refused = world.store.create_room(plain(&ann, subject)).await;
        assert_eq!(refused, Err(conflict.clone()), "{subject}");
    }
    for subject in ["lab-x", "labs", "lab.sensor", "lab.sensors2", "lab.sensors-a.b", "other.lab.sensors"] {
        let created = world.store.create_room(plain(&ann, subject)).await;
        assert_eq!(created, Ok(()), "{subject}");
    }
}

pub(super) async fn one_of_two_concurrent_overlapping_rooms_is_created(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let second = world.second().await;
    for round in 0..ROUNDS {
        let above = plain(&ann, &format!("race-{round}"));
        let below = plain(&ann, &format!("RACE-{round}.below"));
        let (first, second) =
            tokio::join!(world.store.create_room(above.clone()), second.create_room(below.clone()));
        let created = [first.is_ok(), second.is_ok()];
        assert!(created[0] != created[1], "round {round}: {first:?} {second:?}");
        let (winner, refused) = if created[0] { (above, second) } else { (below, first) };
        let overlap = Conflict::SubjectOverlaps(winner.state().subject().clone());
        assert_eq!(refused, Err(StoreError::Conflict(overlap)));
        let access = world.store.view().room(&winner.state().id());
        assert!(access.is_some(), "round {round}: the winner is in view");
    }
}

pub(super) async fn members_must_be_active_users(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let stranger = Person::new("stranger");
    let id = |person: &Person| -> UserId { person.identity.id() };

    let refused = world.store.create_room(plain(&stranger, "room")).await;
    assert_eq!(refused, Err(Conflict::UnknownMember(id(&stranger)).into()));

    let state = world.create(&ann, "room").await;
    let append = ann.append(&state, stranger.added_as(RoomRole::Reader));
    let refused = world.store.append(append).await;
    assert_eq!(refused, Err(Conflict::UnknownMember(id(&stranger)).into()));

    let bob = world.admit("bob", BusRole::Guest).await;
    let late = world.admit("late", BusRole::Guest).await;
    let state = world.add(&state, &ann, &bob, RoomRole::Writer).await;
    for person in [&bob, &late] {
        world.store.revoke_user(&id(person), NOW).await.expect("a guest is revoked");
    }
    let refused = world.store.append(ann.append(&state, late.added_as(RoomRole::Reader))).await;
    assert_eq!(refused, Err(Conflict::MemberRevoked(id(&late)).into()));
    let removed = world.store.append(ann.remove(&state, &bob)).await;
    assert!(removed.is_ok(), "a revoked member can be removed: {removed:?}");
}

pub(super) async fn rooms_are_frozen_and_unfrozen(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let id = world.create(&ann, "room").await.id();
    for frozen in [true, true, false, true] {
        world.store.set_frozen(&id, frozen).await.expect("the room exists");
        assert_eq!(world.store.view().room(&id).expect("in view").frozen, frozen);
        assert_eq!(world.store.room(&id).await.expect("stored").frozen, frozen);
    }
    world.reopen().await;
    assert!(world.store.view().room(&id).expect("in view").frozen);
    let unknown = plain(&ann, "other").state().id();
    assert_eq!(world.store.set_frozen(&unknown, true).await, Err(StoreError::NotFound));
}

pub(super) async fn revoking_the_last_active_owner_freezes_the_room(world: &mut World) {
    world.admit("root", BusRole::Admin).await;
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let alone = world.create(&ann, "alone").await;
    let shared = world.create(&ann, "shared").await;
    world.add(&shared, &ann, &bob, RoomRole::Owner).await;
    let visited = world.create(&bob, "visited").await;
    world.add(&visited, &bob, &ann, RoomRole::Writer).await;

    let revoked = world.store.revoke_user(&ann.identity.id(), NOW).await.expect("a member is revoked");
    assert_eq!(revoked.frozen, [alone.id()]);
    let frozen = |state: &RoomState| world.store.view().room(&state.id()).expect("in view").frozen;
    assert!(frozen(&alone) && !frozen(&shared) && !frozen(&visited));

    let revoked = world.store.revoke_user(&bob.identity.id(), NOW).await.expect("a member is revoked");
    let mut expected = [shared.id(), visited.id()];
    expected.sort();
    let mut now_frozen = revoked.frozen;
    now_frozen.sort();
    assert_eq!(now_frozen, expected);
}

pub(super) async fn a_room_whose_last_active_owner_leaves_is_frozen(world: &mut World) {
    world.admit("root", BusRole::Admin).await;
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let eve = world.admit("eve", BusRole::Member).await;
    let state = world.create(&ann, "room").await;
    let state = world.add(&state, &ann, &bob, RoomRole::Owner).await;
    let state = world.add(&state, &ann, &eve, RoomRole::Owner).await;
    world.store.revoke_user(&ann.identity.id(), NOW).await.expect("a member is revoked");
    for (leaver, frozen) in [(&bob, false), (&eve, true)] {
        let current = world.store.room(&state.id()).await.expect("the room").state;
        world.append(&current, leaver, Op::Remove { user: leaver.identity.id(), epoch: None }).await;
        assert_eq!(world.store.view().room(&state.id()).expect("in view").frozen, frozen);
        assert_eq!(world.store.room(&state.id()).await.expect("stored").frozen, frozen);
    }
}

pub(super) async fn a_deleted_room_frees_its_subject_and_keeps_its_last_entry(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let room = ann.new_room("room", Encryption::E2e, History::Shared);
    let first = room.state().clone();
    world.store.create_room(room.clone()).await.expect("the room is created");
    let add = ann.append(&first, bob.added_as(RoomRole::Writer));
    let (last, head) = (add.statement().as_str().to_owned(), add.next().head());
    world.store.append(add).await.expect("the member is added");
    world.store.delete_room(&first.id(), NOW + 7).await.expect("the room is deleted");

    for reopen in [false, true] {
        if reopen {
            world.reopen().await;
        }
        let store = &world.store;
        let id = first.id();
        assert_eq!(store.room(&id).await.map(drop), Err(StoreError::NotFound));
        assert_eq!(store.delete_room(&id, NOW).await, Err(StoreError::NotFound));
        assert!(store.view().room(&id).is_none());
        assert!(store.view().memberships(&bob.identity.id()).iter().all(|(room, _)| room.id != id));
        let keys = store.sealed_keys(&id, &ann.identity.id(), Page::first(10)).await;
        assert_eq!(keys, Err(StoreError::NotFound));

        let tombstone = store.tombstone(&id).await.expect("something stays");
        assert_eq!((tombstone.head, tombstone.deleted), (head, NOW + 7));
        assert_eq!(tombstone.last, last);
        assert_eq!(store.log(&id, 1, 10).await, Ok(vec![last.clone()]));
        assert_eq!(store.log(&id, head.seq + 1, 10).await, Ok(Vec::new()));
        let again = store.create_room(room.clone()).await;
        assert_eq!(again, Err(Conflict::RoomExists.into()), "a create statement is good for one room");
    }
    let successor = world.create(&bob, "room").await;
    assert_eq!(world.store.view().room_of_subject("room.x").map(|room| room.id), Some(successor.id()));
    let alive = world.store.tombstone(&successor.id()).await;
    assert_eq!(alive, Err(StoreError::NotFound));
}

pub(super) async fn rooms_are_paged(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let mut expected = Vec::new();
    for n in 0..5 {
        expected.push(world.create(&ann, &format!("room-{n}")).await.id());
    }
    expected.sort();
    let mut seen = Vec::new();
    let mut page = Page::first(2);
    loop {
        let listing = world.store.rooms(page).await.expect("a page");
        assert!(listing.items.len() <= 2);
        seen.extend(listing.items.iter().map(|room| room.id));
        let Some(next) = listing.next else { break };
        page = Page::after(next, 2);
    }
    assert_eq!(seen, expected);
}
