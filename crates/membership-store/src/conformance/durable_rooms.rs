//! How many rooms with history there may be.

use room_protocol::{Encryption, History, Op};

use super::world::{NOW, Person, World, renamed};
use crate::{Bound, BusRole, Conflict, NewRoom, StoreError};

/// Rounds of a race; each is a chance for both sides to win.
const ROUNDS: usize = 25;

fn durable(owner: &Person, subject: &str) -> NewRoom {
    owner.new_room(subject, Encryption::None, History::Shared)
}

fn full(bound: usize) -> Result<(), StoreError> {
    Err(StoreError::Full(Bound::DurableRooms(bound)))
}

pub(super) async fn no_more_rooms_with_history_are_made_than_the_bound(world: &mut World) {
    world.reopen_with_durable_rooms(2).await;
    let ann = world.admit("ann", BusRole::Member).await;
    let first = durable(&ann, "first");
    let state = first.state().clone();
    for new in [first.clone(), durable(&ann, "second")] {
        world.store.create_room(new).await.expect("there is room for two");
    }
    assert_eq!(world.store.create_room(durable(&ann, "third")).await, full(2));
    let again = world.store.create_room(first).await;
    assert_eq!(again, Err(Conflict::RoomExists.into()), "that says more");
    let forgetful = ann.new_room("forgetful", Encryption::E2e, History::None);
    assert_eq!(world.store.create_room(forgetful).await, Ok(()), "it keeps nothing");

    // What was said in a closed room can be read: it keeps its stream.
    world.append(&state, &ann, Op::Close {}).await;
    assert_eq!(world.store.create_room(durable(&ann, "third")).await, full(2));
    world.reopen().await;
    assert_eq!(world.store.view().size().durable_rooms, 2);
    assert_eq!(world.store.create_room(durable(&ann, "third")).await, full(2));
    world.store.delete_room(&state.id(), NOW).await.expect("the room is deleted");
    assert_eq!(world.store.create_room(durable(&ann, "third")).await, Ok(()));
    assert_eq!(world.store.create_room(durable(&ann, "fourth")).await, full(2));
}

pub(super) async fn rooms_beyond_a_lowered_bound_stay_as_they_are(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let mut states = Vec::new();
    for subject in ["first", "second", "third"] {
        states.push(world.create(&ann, subject).await);
    }
    for bound in [1, 0] {
        world.reopen_with_durable_rooms(bound).await;
        for state in &mut states {
            *state = world.append(state, &ann, renamed(&format!("with {bound}"))).await;
        }
        assert_eq!(world.store.create_room(durable(&ann, "fourth")).await, full(bound));
    }
    world.reopen_with_durable_rooms(3).await;
    assert_eq!(world.store.create_room(durable(&ann, "fourth")).await, full(3));
    world.reopen_with_durable_rooms(4).await;
    assert_eq!(world.store.create_room(durable(&ann, "fourth")).await, Ok(()), "it was raised");
}

/// On a backend that several have open each has a view of its own, which may not show yet what the other did.
pub(super) async fn one_of_two_concurrent_rooms_gets_the_last_place(world: &mut World) {
    world.reopen_with_durable_rooms(2).await;
    let ann = world.admit("ann", BusRole::Member).await;
    world.create(&ann, "always").await;
    let second = world.second().await;
    for round in 0..ROUNDS {
        let rooms = ["one", "other"].map(|name| durable(&ann, &format!("{name}-{round}")));
        let ids = [rooms[0].state().id(), rooms[1].state().id()];
        let [one, other] = rooms;
        let (here, there) = tokio::join!(world.store.create_room(one), second.create_room(other));
        assert!(here.is_ok() != there.is_ok(), "round {round}: {here:?} {there:?}");
        let (winner, refused) = if here.is_ok() { (ids[0], there) } else { (ids[1], here) };
        assert_eq!(refused, full(2), "round {round}");
        world.store.delete_room(&winner, NOW).await.expect("the winner is deleted");
    }
}
