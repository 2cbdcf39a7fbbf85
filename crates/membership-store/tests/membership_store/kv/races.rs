//! Two stores that write at once, on different servers: no update is lost, none is made twice, and rules that span
//! several keys hold.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all;
use membership_store::conformance::check_view;
use membership_store::{
    Appended, BlobPut, BlobQuota, BlobRecord, BusRole, Conflict, KvStore, MembershipStore, Page, StoreError,
};
use nats_testkit::Servers;
use room_protocol::{BlobDigest, RoomId, RoomRole, SignedStatement};

use super::conformance::KvBackend;
use crate::crash::check_rooms;
use crate::people::{NOW, Person};

/// Statements that each writer gets into the log of one room.
const STATEMENTS: usize = 25;
/// Rounds in which an owner and an admin take rights from each other.
const ROUNDS: usize = 12;

/// Appends renames until so many of them are in the log; answers their heads.
async fn rename_often(store: &KvStore, author: &Person, room: RoomId, writer: usize) -> Vec<SignedStatement> {
    let mut written = Vec::new();
    while written.len() < STATEMENTS {
        let state = store.room(&room).await.expect("the room").state;
        let append = author.rename(&state, &format!("writer {writer} {}", written.len()));
        match store.append(append.clone()).await {
            Ok(Appended::Now(head)) => {
                assert_eq!(head, append.next().head());
                let seen = store.view().room(&room).expect("in view").head.seq;
                assert!(seen >= head.seq, "whoever was told that a write happened finds it in the view");
                written.push(append.statement().clone());
            }
            Err(StoreError::Conflict(Conflict::HeadMoved(head))) => assert!(head.seq > state.head().seq),
            other => panic!("{other:?}"),
        }
    }
    written
}

/// Both views are complete, equal and what is stored.
async fn check_both(stores: &[KvStore]) {
    let mut sizes = Vec::new();
    for store in stores {
        store.confirm().await.expect("the view is complete");
        check_view(store).await;
        check_rooms(store).await;
        sizes.push(store.view().size());
    }
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
}

async fn race(servers: Servers) {
    let servers = Arc::new(servers);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let stores = [backend.open_at(0).await, backend.open_at(1).await];
    let (root, ann, bob) = (Person::number(1), Person::number(2), Person::number(3));
    for person in [&root, &ann, &bob] {
        let role = if person.identity.id() == root.identity.id() { BusRole::Admin } else { BusRole::Member };
        stores[0].add_user(person.new_user(role)).await.expect("a new user");
    }
    one_log_has_every_statement_once(&stores, &ann).await;
    of_files_at_once_only_those_within_the_quota_are_there(&stores, &ann).await;
    an_owner_who_leaves_and_one_who_is_revoked(&stores, &root).await;
    check_both(&stores).await;
    for store in &stores {
        store.close().await;
    }
}

async fn one_log_has_every_statement_once(stores: &[KvStore; 2], ann: &Person) {
    let room = ann.new_room("busy", NOW);
    let id = room.state().id();
    stores[0].create_room(room).await.expect("a room");
    stores[1].confirm().await.expect("the view is complete");
    let writers = (0..4).map(|writer| rename_often(&stores[writer % 2], ann, id, writer));
    let written: Vec<SignedStatement> = join_all(writers).await.concat();
    // The last of them may have been written through the other store.
    stores[1].confirm().await.expect("the view is complete");
    let log = stores[1].log(&id, 2, 1_000).await.expect("the log");
    assert_eq!(log.len(), 4 * STATEMENTS, "one entry for each acknowledgement, no more");
    for statement in written {
        let at = usize::try_from(statement.statement().seq).expect("a number") - 2;
        assert_eq!(log[at], statement.as_str());
    }
}

async fn of_files_at_once_only_those_within_the_quota_are_there(stores: &[KvStore; 2], ann: &Person) {
    let rooms = [ann.new_room("files.one", NOW + 1), ann.new_room("files.two", NOW + 2)];
    let ids = [rooms[0].state().id(), rooms[1].state().id()];
    for room in rooms {
        stores[0].create_room(room).await.expect("a room");
    }
    // The quota of the user spans two rooms, that is, two keys without anything in common.
    let quota = BlobQuota { room_bytes: u64::MAX, user_bytes: 100 };
    let puts = (0..16_u8).map(|n| {
        let digest = BlobDigest::from_bytes([n; 32]);
        let file = BlobRecord { digest, size: 30, uploader: ann.identity.id(), at: NOW };
        let (store, room) = (&stores[usize::from(n % 2)], ids[usize::from(n / 2 % 2)]);
        async move { store.put_blob(&room, file, quota).await }
    });
    let outcomes = join_all(puts).await;
    let there = outcomes.iter().filter(|outcome| matches!(outcome, Ok(BlobPut::Now(_)))).count();
    assert_eq!(there, 3, "{outcomes:?}");
}

/// Two owners: one leaves through one store while the other is revoked through the other. Whatever comes first, the
/// room is frozen in the end, and both stores say so.
async fn an_owner_who_leaves_and_one_who_is_revoked(stores: &[KvStore; 2], root: &Person) {
    for round in 0..ROUNDS {
        let number = u8::try_from(round).expect("few rounds");
        let (leaver, revoked) = (Person::number(100 + number), Person::number(150 + number));
        for person in [&leaver, &revoked] {
            stores[0].add_user(person.new_user(BusRole::Member)).await.expect("a new user");
        }
        let room = leaver.new_room(&format!("left.{round}"), NOW);
        let state = room.state().clone();
        stores[0].create_room(room).await.expect("a room");
        let add = leaver.try_append(&state, revoked.added_as(RoomRole::Owner)).expect("a valid statement");
        let state = add.next().clone();
        stores[1].append(add).await.expect("a second owner");
        let leave = room_protocol::Op::Remove { user: leaver.identity.id(), epoch: None };
        let leave = leaver.try_append(&state, leave).expect("a valid statement");
        let revoked = revoked.identity.id();
        let (left, done) = tokio::join!(stores[0].append(leave), stores[1].revoke_user(&revoked, NOW));
        assert!(left.is_ok() && done.is_ok(), "{left:?} {done:?}");
        for store in stores {
            store.confirm().await.expect("the view is complete");
            let access = store.view().room(&state.id()).expect("in view");
            assert!(access.frozen, "round {round}: nobody is left who may act for the room");
            assert!(!store.view().user(&revoked).expect("known").is_active());
            assert_eq!(store.view().role_of(&state.id(), &leaver.identity.id()), None);
        }
    }
    let admins = stores[1].view().size().active_admins;
    assert_eq!(admins, 1, "{} is still there", root.handle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_write_at_once_lose_nothing_in_a_nats_server() {
    let Some(servers) = Servers::nats(1).await else { return };
    race(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_write_at_once_lose_nothing_in_three_nats_servers() {
    let Some(servers) = Servers::nats(3).await else { return };
    race(servers).await;
}

/// A change that was acknowledged by one store is in the other's view as soon as that view is confirmed, and arrives
/// there without being asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_store_acknowledged_reaches_the_other() {
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let (one, other) = (backend.open_at(0).await, backend.open_at(1).await);
    let (ann, bob) = (Person::number(1), Person::number(2));
    for person in [&ann, &bob] {
        one.add_user(person.new_user(BusRole::Member)).await.expect("a new user");
    }
    let room = ann.new_room("room", NOW);
    let mut state = room.state().clone();
    let id = state.id();
    one.create_room(room).await.expect("a room");
    let mut changes = other.changes();
    let bob_id = bob.identity.id();
    for n in 0..20 {
        let is_member = n % 2 == 0;
        let op = if is_member {
            bob.added_as(RoomRole::Reader)
        } else {
            room_protocol::Op::Remove { user: bob_id, epoch: None }
        };
        let append = ann.try_append(&state, op).expect("a valid statement");
        state = append.next().clone();
        one.append(append).await.expect("it is appended");
        let confirmed = other.confirm().await.expect("the view is complete");
        assert_eq!(other.view().role_of(&id, &bob_id).is_some(), is_member);
        assert!(other.applied() >= confirmed.revision);
    }
    let mut told = BTreeSet::new();
    while let Ok((revision, what)) = changes.try_recv() {
        if let membership_store::Changed::Room(room, users) = what
            && room == id
            && users == [bob_id]
        {
            told.insert(revision);
        }
    }
    assert_eq!(told.len(), 20, "every change names those whose rights it changes");
    let listed = other.users(Page::first(10)).await.expect("users");
    assert_eq!(listed.items.len(), 2);
}
