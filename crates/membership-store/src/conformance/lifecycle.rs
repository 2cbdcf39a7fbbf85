//! Rules of starting, stopping and of callers who go away.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::world::{NOW, World, renamed};
use crate::{Appended, BusRole, Conflict, StoreError};

/// Writes that are abandoned, each a little later than the one before.
const ABANDONED: usize = 30;

pub(super) async fn the_first_start_is_remembered(world: &mut World) {
    assert_eq!(world.store.is_first_start().await, Ok(true));
    world.reopen().await;
    assert_eq!(world.store.is_first_start().await, Ok(true), "opening is not starting");
    world.store.mark_first_start(NOW).await.expect("the mark is set");
    world.store.mark_first_start(NOW + 1).await.expect("and set again");
    assert_eq!(world.store.is_first_start().await, Ok(false));
    world.reopen().await;
    assert_eq!(world.store.is_first_start().await, Ok(false));
}

pub(super) async fn adding_a_user_ends_the_first_start(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    assert_eq!(world.store.is_first_start().await, Ok(false));
    world.store.revoke_user(&ann.identity.id(), NOW).await.expect("a member is revoked");
    world.reopen().await;
    assert_eq!(world.store.is_first_start().await, Ok(false));
}

pub(super) async fn an_abandoned_write_happens_whole_or_not_at_all(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let mut state = world.create(&ann, "room").await;
    for polls in 0..ABANDONED {
        let append = ann.append(&state, renamed(&format!("name {polls}")));
        {
            let mut write = pin!(world.store.append(append));
            for _ in 0..polls {
                let pending = poll_fn(|context| Poll::Ready(write.as_mut().poll(context).is_pending())).await;
                if !pending {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Both want the same place in the log: once this one is answered, the abandoned one has it or never will.
        let rival = world.store.append(ann.append(&state, renamed(&format!("rival {polls}")))).await;
        assert!(
            matches!(rival, Ok(Appended::Now(_)) | Err(StoreError::Conflict(Conflict::HeadMoved(_)))),
            "the store goes on: {rival:?}"
        );
        let record = world.store.room(&state.id()).await.expect("the room");
        let head = world.store.view().room(&state.id()).expect("in view").head;
        assert_eq!(head, record.state.head(), "the view shows what is stored");
        let log = world.store.log(&state.id(), 1, 1_000).await.expect("the log");
        assert_eq!(log.len() as u64, head.seq);
        state = record.state;
    }
}

pub(super) async fn a_closed_store_is_unavailable(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let state = world.create(&ann, "room").await;
    let store = world.store.clone();
    store.close().await;
    store.close().await;
    let late = store.append(ann.append(&state, renamed("late"))).await;
    assert_eq!(late.map(drop), Err(StoreError::Unavailable));
    assert_eq!(store.user(&ann.identity.id()).await, Err(StoreError::Unavailable));
    assert_eq!(store.mark_first_start(NOW).await, Err(StoreError::Unavailable));
    assert!(store.view().room(&state.id()).is_some(), "the view stays as it was");
}
