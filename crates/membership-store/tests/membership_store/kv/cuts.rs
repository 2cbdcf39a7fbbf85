//! The line between a store and its server is cut at every point of a write, or answers are lost: a write happens in
//! full or not at all, and what the store says of it is true.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use membership_store::conformance::check_view;
use membership_store::{Append, Appended, BusRole, Conflict, KvStore, MembershipStore, Page, StoreError};
use nats_testkit::{PATIENCE, Proxy, Servers};
use room_protocol::{RoomId, RoomRole, RoomState};

use super::conformance::KvBackend;
use crate::crash::check_rooms;
use crate::people::{NOW, Person};

/// A write that stages keys and one that does not send fewer pieces than this, the heartbeats between them included.
const CUTS: i64 = 10;

/// A store behind a line that can be cut, and one with a line of its own to look at what happened.
struct Scene {
    /// Holds the servers.
    _backend: KvBackend,
    proxy: Proxy,
    store: KvStore,
    witness: KvStore,
    ann: Person,
    bob: Person,
    state: Arc<RoomState>,
}

impl Scene {
    async fn new() -> Self {
        let servers = Arc::new(Servers::embedded().await);
        let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
        let witness = backend.open_at(0).await;
        let proxy = Proxy::before(servers.addresses(0)[0]).await;
        let store = backend.open_through(&proxy).await;
        let (root, ann, bob) = (Person::number(1), Person::number(2), Person::number(3));
        witness.add_user(root.new_user(BusRole::Admin)).await.expect("a new user");
        for person in [&ann, &bob] {
            witness.add_user(person.new_user(BusRole::Member)).await.expect("a new user");
        }
        let room = ann.new_encrypted_room("room");
        let state = room.state().clone();
        witness.create_room(room).await.expect("a room");
        let add = ann.add_sealed(&state, &bob);
        let state = add.next().clone();
        witness.append(add).await.expect("a member");
        store.confirm().await.expect("the view is complete");
        Self { _backend: backend, proxy, store, witness, ann, bob, state }
    }

    fn room(&self) -> RoomId {
        self.state.id()
    }

    /// What became of an append, as everybody sees it.
    async fn settle(&mut self, append: &Append, outcome: Result<Appended, StoreError>) {
        self.witness.confirm().await.expect("the witness's view is complete");
        let statement = append.statement();
        let is_there = self.witness.holds(&self.room(), statement).await.expect("an answer").is_some();
        match outcome {
            Ok(Appended::Now(head)) => {
                assert!(is_there, "what was acknowledged is there");
                assert_eq!(self.store.view().room(&self.room()).expect("in view").head, head);
            }
            Err(StoreError::Unavailable) => {}
            other => panic!("nobody else writes, and nothing is sent twice: {other:?}"),
        }
        if is_there {
            self.state = append.next().clone();
            let epoch = self.state.epoch().expect("encrypted").n;
            for person in [&self.ann, &self.bob] {
                let (room, id) = (self.room(), person.identity.id());
                let keys = self.witness.sealed_keys(&room, &id, Page::first(1_000)).await.expect("keys");
                assert!(keys.items.iter().any(|(n, _)| *n == epoch), "an entry comes with all its keys");
            }
        }
        let head = self.witness.view().room(&self.room()).expect("in view").head;
        assert_eq!(head, self.state.head(), "there is nothing else");
    }

    async fn end(self) {
        self.store.confirm().await.expect("the store goes on");
        for store in [&self.store, &self.witness] {
            check_view(store).await;
            check_rooms(store).await;
            store.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_cut_at_any_point_leaves_no_half_write() {
    let mut scene = Scene::new().await;
    let mut survived = 0;
    for cut in 0..CUTS {
        scene.proxy.cut_after(cut);
        let append = scene.ann.rekey(&scene.state);
        let outcome = scene.store.append(append.clone()).await;
        survived += usize::from(outcome.is_ok());
        scene.settle(&append, outcome).await;
        if scene.proxy.is_cut_pending() {
            scene.proxy.cut_after(-1);
        }
    }
    assert!(survived > 0, "a store whose line is cut for a moment goes on");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_acknowledgement_was_lost_is_found() {
    let mut scene = Scene::new().await;
    for round in 0..2 {
        let append = scene.ann.rename(&scene.state, &format!("round {round}"));
        scene.proxy.lose_answers();
        let (outcome, ()) = tokio::join!(scene.store.append(append.clone()), async {
            // The write is there, and the store cannot know.
            let is_there = tokio::time::timeout(PATIENCE, async {
                while scene.witness.view().room(&scene.room()).expect("in view").head != append.next().head()
                {
                    tokio::task::yield_now().await;
                }
            });
            is_there.await.expect("the write arrives");
            if round % 2 == 0 {
                scene.proxy.cut();
            }
            scene.proxy.pass();
        });
        assert_eq!(outcome, Ok(Appended::Now(append.next().head())), "round {round}");
        scene.settle(&append, outcome).await;
    }
    scene.end().await;
}

/// A store that hears nothing says so when it is asked, and does not refuse by an old view.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hears_nothing_does_not_answer_from_an_old_view() {
    let scene = Scene::new().await;
    let id = scene.room();
    scene.proxy.hold_answers();
    let rekey = scene.ann.rekey(&scene.state);
    scene.witness.append(rekey.clone()).await.expect("the witness writes");
    scene.witness.set_frozen(&id, true).await.expect("the witness writes");
    // By its old view the head has not moved on, and the room is not frozen: there would be nothing to do.
    let late = scene.ann.rekey(&scene.state);
    let (refused, unfrozen, ()) =
        tokio::join!(scene.store.append(late), scene.store.set_frozen(&id, false), async {
            scene.proxy.pass();
        });
    assert_eq!(refused, Err(Conflict::HeadMoved(rekey.next().head()).into()));
    assert_eq!(unfrozen, Ok(()));
    scene.witness.confirm().await.expect("the view is complete");
    assert!(!scene.witness.view().room(&id).expect("in view").frozen, "it was unfrozen, not left");

    scene.proxy.hold_answers();
    scene.witness.revoke_user(&scene.bob.identity.id(), NOW).await.expect("revoked");
    let asked = tokio::time::timeout(Duration::from_millis(500), scene.store.confirm()).await;
    assert!(asked.is_err(), "a view that may be old is not confirmed");
    scene.proxy.pass();
    scene.store.confirm().await.expect("the view is complete");
    assert!(!scene.store.view().user(&scene.bob.identity.id()).expect("known").is_active());
    scene.end().await;
}

/// A process that is killed in the middle of writes: its runtime goes, and with it every task of the store.
#[test]
fn a_store_that_is_killed_leaves_no_half_write() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let servers = Arc::new(Servers::embedded().await);
        let backend = Arc::new(KvBackend::fresh(&servers, &AtomicUsize::new(0)).await);
        let witness = backend.open_at(0).await;
        let (root, ann, bob) = (Person::number(1), Person::number(2), Person::number(3));
        witness.add_user(root.new_user(BusRole::Admin)).await.expect("a new user");
        for person in [&ann, &bob] {
            witness.add_user(person.new_user(BusRole::Member)).await.expect("a new user");
        }
        let whole_life = a_life_without_a_death(&backend).await;
        let mut owners = 0;
        for round in 0..24_u8 {
            let backend = backend.clone();
            let life = rand::random_range(Duration::ZERO..whole_life * 2);
            tokio::task::spawn_blocking(move || live_and_die(&backend, round, life)).await.expect("a life");
            witness.confirm().await.expect("the view is complete");
            check_view(&witness).await;
            check_rooms(&witness).await;
            owners += check_owner(&witness, round).await;
        }
        assert!(owners > 0, "somebody was revoked");
        witness.close().await;
    });
}

/// How long it takes when nobody is killed: some of those who are have done everything before, on every machine.
async fn a_life_without_a_death(backend: &KvBackend) -> Duration {
    let store = backend.open_at(0).await;
    let began = Instant::now();
    write_until_killed(&store, &Person::number(99)).await.expect("everything is written");
    let life = began.elapsed();
    store.close().await;
    life
}

/// Opens the store, does what takes several steps, and is gone after a while.
fn live_and_die(backend: &Arc<KvBackend>, round: u8, life: Duration) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (started, start) = std::sync::mpsc::channel();
    let backend = backend.clone();
    let writing = async move {
        let store = backend.open_at(0).await;
        started.send(()).expect("somebody waits");
        // A write that is cut off by the end of its runtime says so, to nobody.
        let died = write_until_killed(&store, &Person::number(100 + round)).await;
        assert!(matches!(died, Ok(()) | Err(StoreError::Unavailable)), "{died:?}");
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn_on(writing, runtime.handle());
    start.recv().expect("the store opens");
    std::thread::sleep(life);
    drop(tasks);
    runtime.shutdown_background();
}

async fn write_until_killed(store: &KvStore, owner: &Person) -> Result<(), StoreError> {
    store.add_user(owner.new_user(BusRole::Member)).await?;
    let bob = Person::number(3);
    for n in 0..3 {
        let room = owner.new_encrypted_room(&format!("{}.{n}", owner.handle));
        let state = room.state().clone();
        store.create_room(room).await?;
        let add = owner.add_sealed(&state, &bob);
        let state = add.next().clone();
        store.append(add).await?;
        store.append(owner.rekey(&state)).await?;
    }
    store.revoke_user(&owner.identity.id(), NOW).await.map(drop)
}

/// An owner who is revoked left all their rooms frozen, and nobody else did; whoever is a member has keys. Answers how
/// many were revoked.
async fn check_owner(witness: &KvStore, round: u8) -> usize {
    let owner = Person::number(100 + round).identity.id();
    let Some(user) = witness.view().user(&owner) else { return 0 };
    for (room, role) in witness.view().memberships(&owner) {
        assert_eq!(role, RoomRole::Owner);
        assert_eq!(room.frozen, !user.is_active(), "the revocation and what it freezes are one write");
        for (member, _) in witness.view().members(&room.id) {
            let keys = witness.sealed_keys(&room.id, &member.id, Page::first(10)).await.expect("keys");
            let newest = keys.items.last().map(|(epoch, _)| *epoch);
            assert_eq!(newest, room.epoch, "an entry comes with all its keys");
        }
    }
    usize::from(!user.is_active())
}
