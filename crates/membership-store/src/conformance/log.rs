//! Rules of a room's log.

use room_protocol::{Op, RoomLog, RoomRole, SignedStatement};

use super::world::{World, renamed};
use crate::{Appended, BusRole, Conflict, StoreError};

/// Rounds of a race; each is a chance for both sides to win.
const ROUNDS: usize = 50;

pub(super) async fn entries_are_appended_and_read_in_parts(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let state = world.create(&ann, "room").await;
    let state = world.add(&state, &ann, &bob, RoomRole::Reader).await;
    let set_role = Op::SetRole { user: bob.identity.id(), role: RoomRole::Owner };
    let state = world.append(&state, &ann, set_role).await;
    let state = world.append(&state, &bob, renamed("renamed")).await;
    let id = state.id();

    let all = world.store.log(&id, 1, 100).await.expect("the log");
    assert_eq!(all.len(), 4);
    let entries: Vec<SignedStatement> =
        all.iter().map(|jws| jws.parse().expect("a signed statement")).collect();
    let verified = RoomLog::verify(entries.iter().cloned()).expect("a log that verifies");
    assert_eq!(verified.head(), state.head());
    assert_eq!(world.store.log(&id, 2, 2).await.as_deref(), Ok(&all[1..3]));
    assert_eq!(world.store.log(&id, 4, 2).await.as_deref(), Ok(&all[3..]));
    assert_eq!(world.store.log(&id, 5, 2).await, Ok(Vec::new()));
    assert_eq!(world.store.log(&id, u64::MAX, 2).await, Ok(Vec::new()));

    let record = world.store.room(&id).await.expect("the room");
    assert_eq!(*record.state, *state);
    assert_eq!(world.store.view().role_of(&id, &bob.identity.id()), Some(RoomRole::Owner));
    assert_eq!(world.store.view().room(&id).expect("in view").name.as_str(), "renamed");
    assert_eq!(world.store.holds(&id, &entries[1]).await, Ok(Some(state.head())));
    let other = ann.append(&state, renamed("another"));
    assert_eq!(world.store.holds(&id, other.statement()).await, Ok(None));
}

pub(super) async fn a_moved_head_is_a_conflict_that_names_the_new_head(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let old = world.create(&ann, "room").await;
    let new = world.append(&old, &ann, renamed("first")).await;
    let late = world.store.append(ann.append(&old, renamed("second"))).await;
    assert_eq!(late, Err(Conflict::HeadMoved(new.head()).into()));
    assert_eq!(world.store.log(&old.id(), 1, 10).await.map(|log| log.len()), Ok(2));
    let rebuilt = world.store.append(ann.append(&new, renamed("second"))).await;
    assert!(matches!(rebuilt, Ok(Appended::Now(head)) if head.seq == 3), "{rebuilt:?}");
}

pub(super) async fn the_same_statement_twice_is_one_entry(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let second = world.second().await;
    let mut state = world.create(&ann, "room").await;
    for round in 0..ROUNDS {
        let append = ann.append(&state, renamed(&format!("round {round}")));
        let head = append.next().head();
        let (one, two) = tokio::join!(world.store.append(append.clone()), second.append(append.clone()));
        let mut outcomes = [one, two];
        outcomes.sort_by_key(|outcome| matches!(outcome, Ok(Appended::Already(_))));
        assert_eq!(outcomes, [Ok(Appended::Now(head)), Ok(Appended::Already(head))], "round {round}");
        state = append.next().clone();
    }
    assert_eq!(world.store.view().room(&state.id()).map(|room| room.head), Some(state.head()));

    let append = ann.append(&state, renamed("kept"));
    world.store.append(append.clone()).await.expect("the statement is appended");
    let later = world.append(append.next(), &ann, renamed("later")).await;
    let again = world.store.append(append).await;
    assert_eq!(again, Ok(Appended::Already(later.head())), "also when others have come after it");
}

pub(super) async fn one_of_two_concurrent_appends_wins(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let second = world.second().await;
    let mut state = world.create(&ann, "room").await;
    for round in 0..ROUNDS {
        let left = ann.append(&state, renamed(&format!("left {round}")));
        let right = ann.append(&state, renamed(&format!("right {round}")));
        let (one, two) = tokio::join!(world.store.append(left.clone()), second.append(right.clone()));
        let (won, lost, winner) = match (one, two) {
            (Ok(won), lost) => (won, lost, left),
            (lost, Ok(won)) => (won, lost, right),
            both => panic!("round {round}: nobody won: {both:?}"),
        };
        let head = winner.next().head();
        assert_eq!(won, Appended::Now(head));
        assert_eq!(lost, Err(StoreError::Conflict(Conflict::HeadMoved(head))), "round {round}");
        state = winner.next().clone();
    }
}

pub(super) async fn a_long_log_leads_to_the_same_state_after_opening_again(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let mut state = world.create(&ann, "room").await;
    for n in 0..60 {
        state = match n % 4 {
            0 => world.add(&state, &ann, &bob, RoomRole::Reader).await,
            1 => world.append(&state, &ann, renamed(&format!("name {n}"))).await,
            2 => {
                let set_role = Op::SetRole { user: bob.identity.id(), role: RoomRole::Writer };
                world.append(&state, &ann, set_role).await
            }
            _ => {
                let removal = ann.remove(&state, &bob);
                let next = removal.next().clone();
                world.store.append(removal).await.expect("the member is removed");
                next
            }
        };
        if n % 7 == 0 {
            world.reopen().await;
        }
        let record = world.store.room(&state.id()).await.expect("the room");
        assert_eq!(*record.state, *state, "entry {n}");
    }
}

pub(super) async fn a_closed_room_stays_and_keeps_its_subject(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let state = world.create(&ann, "room").await;
    let closed = world.append(&state, &ann, Op::Close {}).await;
    assert!(world.store.view().room(&closed.id()).expect("in view").closed);
    let another = world.store.create_room(ann.new_room(
        "room.below",
        room_protocol::Encryption::None,
        room_protocol::History::None,
    ));
    assert_eq!(another.await, Err(Conflict::SubjectOverlaps(state.subject().clone()).into()));
}
