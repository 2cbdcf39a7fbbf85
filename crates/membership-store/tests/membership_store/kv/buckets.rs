//! What is in the buckets: what replaced something is caught up with, and what nobody of us wrote is noticed.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use membership_store::conformance::check_view;
use membership_store::{
    BlobQuota, BlobRecord, BusRole, KvOpenError, KvOptions, KvStore, MembershipStore, NodeName, Page,
    StoreError,
};
use nats_testkit::{PATIENCE, Proxy, Servers};
use room_protocol::{BlobDigest, Op, RoomRole};

use super::conformance::KvBackend;
use crate::people::{NOW, Person};

/// While a store is away, what it has in view is replaced: roles, marks, files, rooms and their subjects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_away_catches_up_with_what_was_replaced() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let there = backend.open_at(0).await;
    let proxy = Proxy::before(servers.addresses(0)[0]).await;
    let away = backend.open_through(&proxy).await;
    let (ann, bob) = (Person::number(1), Person::number(2));
    there.add_user(ann.new_user(BusRole::Admin)).await.expect("a new user");
    let quota = BlobQuota { room_bytes: 1_000, user_bytes: 1_000 };
    let file = BlobRecord {
        digest: BlobDigest::from_bytes([1; 32]),
        size: 10,
        uploader: ann.identity.id(),
        at: NOW,
    };
    let mut before = None;
    for round in 0..4_u64 {
        proxy.hold_answers();
        if round % 2 == 1 {
            proxy.cut();
        }
        let someone = Person::number(10 + u8::try_from(round).expect("few"));
        there.add_user(someone.new_user(BusRole::Guest)).await.expect("a new user");
        if let Some(room) = before {
            there.delete_room(&room, NOW).await.expect("the room is deleted");
        }
        let room = ann.new_room("room", NOW + round);
        let state = room.state().clone();
        there.create_room(room).await.expect("the subject is free again");
        let add = ann.try_append(&state, someone.added_as(RoomRole::Owner)).expect("a statement");
        let state = add.next().clone();
        there.append(add).await.expect("a member");
        there.set_user_role(&someone.identity.id(), BusRole::Admin).await.expect("a role");
        there.set_user_role(&someone.identity.id(), BusRole::Member).await.expect("a role");
        there.set_frozen(&state.id(), true).await.expect("frozen");
        there.put_blob(&state.id(), file, quota).await.expect("a file");
        there.remove_blob(&state.id(), &file.digest).await.expect("no file");
        there.put_blob(&state.id(), BlobRecord { size: 20, ..file }, quota).await.expect("a file");
        there.set_frozen(&state.id(), false).await.expect("not frozen");
        let leave = Op::Remove { user: ann.identity.id(), epoch: None };
        there.append(ann.try_append(&state, leave).expect("a statement")).await.expect("she leaves");
        there.revoke_user(&someone.identity.id(), NOW).await.expect("revoked");
        proxy.pass();
        away.confirm().await.expect("it catches up");
        for store in [&there, &away] {
            check_view(store).await;
            let access = store.view().room(&state.id()).expect("in view");
            assert!(access.frozen, "its last owner was revoked");
            let usage = store.blob_usage(&state.id(), &ann.identity.id()).await.expect("an answer");
            assert_eq!((usage.room_bytes, usage.user_bytes), (20, 20));
            assert_eq!(store.view().size(), there.view().size());
        }
        before = Some(state.id());
    }
    let _ = bob;
    // And a store that never saw any of it.
    let late = backend.open_at(0).await;
    check_view(&late).await;
    assert_eq!(late.view().size(), there.view().size());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_foreign_or_missing_messages_is_refused() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let context = servers.connect(0).await;
    let (store, ann, state) = backend.store_with_room().await;
    store.append(ann.rename(&state, "renamed")).await.expect("an entry");
    store.close().await;

    let subject = format!("$KV.{}.room.{}.log.0000000001", backend.ctl_bucket(), state.id());
    let stream = context.get_stream(backend.ctl_stream()).await.expect("the stream");
    let entry = stream.get_last_raw_message_by_subject(&subject).await.expect("the entry");
    stream.purge().filter(&subject).await.expect("it is removed");
    let refused = backend.try_open(0).await;
    assert!(matches!(refused, Err(KvOpenError::Corrupt { .. })), "{refused:?}");
    context.publish(subject, entry.payload).await.expect("sent").await.expect("stored");
    let refused = backend.try_open(0).await;
    assert!(
        matches!(refused, Err(KvOpenError::Corrupt { .. })),
        "in another order it is another log: {refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_of_us_wrote_stops_a_store() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let store = backend.open_at(0).await;
    let ann = Person::number(1);
    store.add_user(ann.new_user(BusRole::Admin)).await.expect("a new user");
    let context = servers.connect(0).await;
    let subject = format!("$KV.{}.user.everybody.admin", backend.ctl_bucket());
    context.publish(subject, "yes".into()).await.expect("sent").await.expect("stored");
    let stopped = tokio::time::timeout(PATIENCE, async {
        while store.user(&ann.identity.id()).await != Err(StoreError::Corrupt) {
            tokio::task::yield_now().await;
        }
    });
    stopped.await.expect("it notices");
    assert_eq!(store.set_user_role(&ann.identity.id(), BusRole::Admin).await, Err(StoreError::Corrupt));
    assert!(matches!(backend.try_open(0).await, Err(KvOpenError::Corrupt { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_see_what_the_others_say_of_themselves() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let (one, other) = (backend.open_at(0).await, backend.open_at(0).await);
    let (first, second): (NodeName, NodeName) =
        ("n1".parse().expect("a name"), "n2".parse().expect("a name"));
    one.put_node(&first, "old").await.expect("it is put");
    one.put_node(&first, "enforce").await.expect("it is put");
    let confirmed = other.put_node(&second, "soft").await.expect("it is put");
    one.confirm().await.expect("the view is complete");
    for store in [&one, &other] {
        let nodes = store.nodes();
        let said: Vec<(&NodeName, &str)> =
            nodes.iter().map(|node| (&node.name, node.text.as_str())).collect();
        assert_eq!(said, [(&first, "enforce"), (&second, "soft")]);
        assert_eq!(nodes[1].revision, confirmed.revision);
    }
    let long = "x".repeat(KvStore::MAX_NODE_RECORD + 1);
    assert!(matches!(one.put_node(&first, &long).await, Err(StoreError::TooLarge { .. })));
    assert!("a.b".parse::<NodeName>().is_err() && "".parse::<NodeName>().is_err());
}

/// A server that takes small messages only: what is larger is refused, by name, and nothing of it is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_a_message_may_be_is_refused_as_such() {
    let servers = Arc::new(Servers::embedded_with_max_payload(2 << 10).await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let store = backend.open_at(0).await;
    let ann = Person::number(1);
    store.add_user(ann.new_user(BusRole::Member)).await.expect("a record of a user is small");
    let room = ann.new_room("room", NOW);
    let id = room.state().id();
    let refused = store.create_room(room).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { limit, .. }) if limit < 2 << 10), "{refused:?}");
    store.confirm().await.expect("the store goes on");
    assert!(store.view().room(&id).is_none());
    assert_eq!(store.rooms(Page::first(10)).await.map(|rooms| rooms.items.len()), Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_that_is_no_name_is_refused() {
    let servers = Servers::embedded().await;
    for prefix in ["", "a.b", "a b", "a>", "*"] {
        let options = KvOptions { prefix: prefix.to_owned(), ..KvOptions::default() };
        let refused = KvStore::open(servers.connect(0).await, options).await;
        assert!(matches!(refused, Err(KvOpenError::BadPrefix(_))), "{prefix:?}");
    }
}

/// Names that are used no more never keep a node that lives from being seen, in whatever order they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_node_is_seen_however_many_there_were() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let store = backend.open_at(0).await;
    let living: NodeName = "living".parse().expect("a name");
    store.put_node(&living, "young").await.expect("it is put");
    for n in 0..100 {
        let name: NodeName = format!("old-{n}").parse().expect("a name");
        store.put_node(&name, "gone").await.expect("it is put");
    }
    store.put_node(&living, "old").await.expect("it is put");
    let fresh = backend.open_at(0).await;
    for store in [&store, &fresh] {
        store.confirm().await.expect("the view is complete");
        let nodes = store.nodes();
        let found = nodes.iter().find(|node| node.name == living);
        assert_eq!(found.map(|node| node.text.as_str()), Some("old"));
    }
    assert_eq!(store.nodes(), fresh.nodes());
}

/// A snapshot is a convenience: one of a newer program costs time, nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_read_is_left_aside() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let (_store, _, state) = backend.store_with_room().await;
    let context = servers.connect(0).await;
    let subject = format!("$KV.{}_keys.state.{}.0", backend.prefix, state.id());
    for snapshot in [r#"{"v":2,"data":{}}"#, r#"{"v":1,"data":{"text":1}}"#, "no JSON"] {
        context.publish(subject.clone(), snapshot.into()).await.expect("sent").await.expect("stored");
        let fresh = backend.open_at(0).await;
        let read = fresh.room(&state.id()).await.map(|room| room.state.head());
        assert_eq!(read, Ok(state.head()), "{snapshot}");
    }
}
