//! A server is killed under the store: what was acknowledged is there, on every server.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use membership_store::conformance::check_view;
use membership_store::{Appended, Conflict, KvStore, MembershipStore, StoreError};
use nats_testkit::Servers;
use room_protocol::{Head, RoomId};

use super::conformance::KvBackend;
use crate::crash::check_rooms;
use crate::people::Person;

/// Statements that each writer gets into the log.
const STATEMENTS: usize = 30;

/// Appends until it got so many statements acknowledged; what has no answer may have happened, and is looked up.
async fn write_through(store: &KvStore, ann: &Person, room: RoomId, writer: usize) -> Vec<Head> {
    let mut acknowledged = Vec::new();
    let mut n = 0;
    while acknowledged.len() < STATEMENTS {
        n += 1;
        let Ok(record) = store.room(&room).await else { continue };
        let append = ann.rename(&record.state, &format!("writer {writer} {n}"));
        match store.append(append.clone()).await {
            Ok(Appended::Now(head)) => acknowledged.push(head),
            // Unavailable may have happened; then the next statement is built upon it.
            Err(StoreError::Conflict(Conflict::HeadMoved(_)) | StoreError::Unavailable) => {}
            other => panic!("{other:?}"),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_leader() {
    let Some(servers) = Servers::nats(3).await else { return };
    let servers = Arc::new(servers);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let context = servers.connect(0).await;
    let (first, ann, room) = backend.store_with_room().await;
    let id = room.id();
    let leader = servers.cluster().leader_of(&context, &backend.ctl_stream()).await;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    // One store is on the server that is killed, and goes on with another.
    let stores = [backend.open_at(leader).await, backend.open_at(others[0]).await];
    let (one, other, ()) =
        tokio::join!(write_through(&stores[0], &ann, id, 0), write_through(&stores[1], &ann, id, 1), async {
            let mut applied = stores[1].changes();
            for _ in 0..10 {
                applied.recv().await.expect("writes go on");
            }
            servers.cluster().kill(leader).await;
        });
    servers.cluster().spawn(leader);
    let last = backend.open_at(leader).await;
    for store in [&first, &stores[0], &stores[1], &last] {
        store.confirm().await.expect("the view is complete");
        check_view(store).await;
        check_rooms(store).await;
    }
    let log = last.log(&id, 1, 1_000).await.expect("the log");
    for head in one.iter().chain(&other) {
        let entry: room_protocol::SignedStatement =
            log[usize::try_from(head.seq).expect("a number") - 1].parse().expect("a statement");
        assert_eq!(entry.head(), *head, "what was acknowledged is in the log, where it was acknowledged");
    }
    let heads: Vec<Head> = [&first, &stores[0], &stores[1], &last]
        .iter()
        .map(|store| store.view().room(&id).expect("in view").head)
        .collect();
    assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "one history: {heads:?}");
}
