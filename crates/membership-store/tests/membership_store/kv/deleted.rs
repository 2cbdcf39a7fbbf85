//! Rooms that were deleted: their messages go, whatever happens meanwhile, and there may be so many of them.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use membership_store::{Bound, BusRole, Conflict, KvOptions, KvStore, MembershipStore as _, StoreError};
use nats_testkit::{PATIENCE, Servers};
use tokio::time::timeout;

use super::conformance::KvBackend;
use crate::people::{NOW, Person};

/// How many messages of a stream match.
async fn count(stream: &Stream<()>, filter: &str) -> usize {
    let listing = stream.info_with_subjects(filter).await.expect("subjects");
    listing.try_collect::<Vec<_>>().await.expect("subjects").len()
}

/// The bucket of sealed keys is away when the room is deleted: its keys go once it is there again, without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_a_deleted_room_go_though_the_first_try_fails() {
    let Some(servers) = Servers::nats(1).await else { return };
    let servers = Arc::new(servers);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let (store, _, room) = backend.store_with_room().await;
    let id = room.id();
    let context = servers.connect(0).await;
    let keys = format!("KV_{}_keys", backend.prefix);
    let config = context.get_stream(&keys).await.expect("the stream").cached_info().config.clone();
    let api = format!("$JS.API.STREAM.PURGE.{keys}");
    let mut purges = context.client().subscribe(api).await.expect("subscribed");
    context.delete_stream(&keys).await.expect("it is away");
    store.delete_room(&id, NOW).await.expect("the room is deleted");
    timeout(PATIENCE, purges.next()).await.expect("it is tried").expect("a request");
    // Nothing is heard for longer than a single attempt is tried again.
    while timeout(Duration::from_secs(2), purges.next()).await.is_ok() {}
    context.create_stream(config).await.expect("it is back");
    let subject = format!("$KV.{}_keys.set.{id}.some.0", backend.prefix);
    context.publish(subject.clone(), "a key".into()).await.expect("sent").await.expect("stored");
    let stream = context.get_stream_no_info(&keys).await.expect("the stream");
    let gone = async {
        while count(&stream, &subject).await > 0 {
            timeout(PATIENCE, purges.next()).await.expect("it is tried again").expect("a request");
        }
    };
    timeout(PATIENCE, gone).await.expect("the keys go");
    store.close().await;
}

/// Cleaning up waits for servers; whoever closes the store does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_until_deleted_rooms_are_cleaned_up() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let (store, _, room) = backend.store_with_room().await;
    let id = room.id();
    let context = servers.connect(0).await;
    context.delete_stream(format!("KV_{}_keys", backend.prefix)).await.expect("it is away");
    store.delete_room(&id, NOW).await.expect("the room is deleted");
    let since = Instant::now();
    store.close().await;
    assert!(since.elapsed() < Duration::from_secs(2), "it took {:?}", since.elapsed());
    let context = servers.connect(0).await;
    let ctl = context.get_stream_no_info(backend.ctl_stream()).await.expect("the stream");
    let entries = format!("$KV.{}.room.{id}.>", backend.ctl_bucket());
    assert_eq!(count(&ctl, &entries).await, 1, "they stay until somebody has removed the keys");
    let again = backend.open_at(0).await;
    let gone = async {
        while count(&ctl, &entries).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the next start removes them");
    again.close().await;
}

/// Whoever makes and deletes rooms for ever does not fill the memory of every node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_is_made_where_too_many_were_deleted() {
    let servers = Servers::embedded().await;
    let options = KvOptions { max_deleted_rooms: 2, ..KvOptions::default() };
    let store = KvStore::open(servers.connect(0).await, options.clone()).await.expect("the store opens");
    let ann = Person::number(1);
    store.add_user(ann.new_user(BusRole::Admin)).await.expect("a new user");
    let kept = ann.new_room("kept", NOW);
    let kept_id = kept.state().id();
    store.create_room(kept).await.expect("a room");
    let mut deleted = Vec::new();
    for n in 0..2 {
        let room = ann.new_room("room", NOW + n);
        deleted.push(room.state().id());
        store.create_room(room).await.expect("a room");
        store.delete_room(&deleted[deleted.len() - 1], NOW).await.expect("the room is deleted");
    }
    let full = Err(StoreError::Full(Bound::DeletedRooms(2)));
    assert_eq!(store.create_room(ann.new_room("room", NOW + 2)).await, full);
    let again = store.create_room(ann.new_room("room", NOW)).await;
    assert_eq!(again, Err(Conflict::RoomExists.into()), "that says more");
    store.delete_room(&kept_id, NOW).await.expect("rooms can be deleted all the same");
    store.close().await;
    let options = KvOptions { max_deleted_rooms: 4, ..options };
    let store = KvStore::open(servers.connect(0).await, options).await.expect("the store opens");
    store.create_room(ann.new_room("room", NOW + 2)).await.expect("the limit was raised");
    store.close().await;
}
