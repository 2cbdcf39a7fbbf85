//! A store that cannot grow: writes are refused whole, reads go on, and it recovers.

use membership_store::conformance::check_view;
use membership_store::{BusRole, MembershipStore as _, SqliteOptions, SqliteStore, StoreError};

use crate::people::{NOW, Person};

#[tokio::test]
async fn a_full_store_refuses_writes_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    let bounded = SqliteOptions { max_file_bytes: Some(256 << 10), ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&path, bounded).await.expect("the store opens");
    let ann = Person::number(1);
    store.add_user(ann.new_user(BusRole::Admin)).await.expect("a user is added");
    let room = ann.new_room("room", NOW);
    store.create_room(room.clone()).await.expect("a room is created");

    let mut state = room.state().clone();
    let refused = loop {
        let append = ann.rename(&state, &"x".repeat(120));
        let next = append.next().clone();
        match store.append(append).await {
            Ok(_) => state = next,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::Unavailable);
    assert!(state.head().seq > 50, "some fitted: {}", state.head().seq);

    for _ in 0..3 {
        let again = store.append(ann.rename(&state, &"y".repeat(120))).await;
        assert_eq!(again.map(drop), Err(StoreError::Unavailable));
        assert_eq!(store.room(&state.id()).await.expect("reads go on").state.head(), state.head());
        check_view(&store).await;
    }
    store.close().await;

    let store = SqliteStore::open(&path).await.expect("the store opens with more room");
    check_view(&store).await;
    assert_eq!(*store.room(&state.id()).await.expect("the room").state, *state);
    store.append(ann.rename(&state, "there is room again")).await.expect("writes go on");
    store.close().await;
}
