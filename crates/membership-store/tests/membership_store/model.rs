//! Random writes, compared step by step with a model that is plain maps: the same answers, the same view, also
//! after opening again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use busauth::UserId;
use membership_store::conformance::{Backend, check_view};
use membership_store::{BusRole, Conflict, MembershipStore, Page, StoreError, ViewLimits};
use nats_testkit::Servers;
use proptest::prelude::*;
use room_protocol::{Member, Op, RoomId, RoomRole, RoomState};

use crate::conformance::SqliteBackend;
use crate::kv::conformance::KvBackend;
use crate::people::{NOW, Person};

const PEOPLE: u8 = 5;
const SUBJECTS: [&str; 6] = ["a", "A.x", "a.x.y", "b", "b.z", "c"];

#[derive(Debug, Clone)]
enum Step {
    Admit(u8, BusRole),
    SetRole(u8, BusRole),
    Revoke(u8),
    Create {
        owner: u8,
        subject: usize,
    },
    /// The room is chosen by number among those that exist, and the author among its owners.
    Add {
        room: usize,
        who: u8,
        role: RoomRole,
    },
    SetRoomRole {
        room: usize,
        who: u8,
        role: RoomRole,
    },
    Remove {
        room: usize,
        who: u8,
    },
    Freeze(usize, bool),
    Delete(usize),
    Reopen,
}

fn bus_role() -> impl Strategy<Value = BusRole> {
    prop_oneof![Just(BusRole::Admin), Just(BusRole::Member), Just(BusRole::Guest)]
}

fn room_role() -> impl Strategy<Value = RoomRole> {
    prop_oneof![Just(RoomRole::Owner), Just(RoomRole::Writer), Just(RoomRole::Reader)]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE;
    let room = 0..4_usize;
    prop_oneof![
        4 => (who.clone(), bus_role()).prop_map(|(who, role)| Step::Admit(who, role)),
        2 => (who.clone(), bus_role()).prop_map(|(who, role)| Step::SetRole(who, role)),
        1 => who.clone().prop_map(Step::Revoke),
        4 => (who.clone(), 0..SUBJECTS.len()).prop_map(|(owner, subject)| Step::Create { owner, subject }),
        6 => (room.clone(), who.clone(), room_role()).prop_map(|(room, who, role)| Step::Add { room, who, role }),
        3 => (room.clone(), who.clone(), room_role())
            .prop_map(|(room, who, role)| Step::SetRoomRole { room, who, role }),
        3 => (room.clone(), who).prop_map(|(room, who)| Step::Remove { room, who }),
        1 => (room.clone(), any::<bool>()).prop_map(|(room, frozen)| Step::Freeze(room, frozen)),
        1 => room.prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

struct ModelUser {
    role: BusRole,
    revoked: bool,
}

struct ModelRoom {
    state: Arc<RoomState>,
    frozen: bool,
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    users: BTreeMap<UserId, ModelUser>,
    rooms: BTreeMap<RoomId, ModelRoom>,
    created: u64,
}

type Outcome = Result<(), StoreError>;

impl Model {
    fn is_last_admin(&self, id: &UserId) -> bool {
        let active = |user: &ModelUser| user.role == BusRole::Admin && !user.revoked;
        let admins: Vec<&UserId> =
            self.users.iter().filter(|(_, user)| active(user)).map(|(id, _)| id).collect();
        admins == [id]
    }

    fn room(&self, n: usize) -> Option<&ModelRoom> {
        self.rooms.values().nth(n)
    }

    /// Freezes the rooms of `revoked` that have no active owner left.
    fn freeze_rooms_without_owner(&mut self, revoked: &UserId) {
        let is_active_owner =
            |member: &Member| member.role == RoomRole::Owner && !self.users[&member.user].revoked;
        for room in self.rooms.values_mut() {
            let was_owner = room.state.role_of(revoked) == Some(RoomRole::Owner);
            room.frozen |= was_owner && !room.state.members().any(is_active_owner);
        }
    }
}

/// Who writes into the room's log: its first owner.
fn owner_of(state: &RoomState, people: &[Person]) -> usize {
    let owns = |person: &Person| state.role_of(&person.identity.id()) == Some(RoomRole::Owner);
    people.iter().position(owns).expect("a room has an owner")
}

fn overlaps(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase() + ".", other.to_ascii_lowercase() + ".");
    one.starts_with(&other) || other.starts_with(&one)
}

/// The store, the model, and what a step does to both.
struct Run {
    backend: Box<dyn Backend>,
    store: Arc<dyn MembershipStore>,
    model: Model,
    people: Vec<Person>,
}

impl Run {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Admit(who, role) => self.admit(*who, *role).await,
            Step::SetRole(who, role) => self.set_role(*who, *role).await,
            Step::Revoke(who) => self.revoke(*who).await,
            Step::Create { owner, subject } => self.create(*owner, SUBJECTS[*subject]).await,
            Step::Add { room, who, role } => {
                let op = self.people[*who as usize].added_as(*role);
                self.append(*room, op, Some(*who)).await;
            }
            Step::SetRoomRole { room, who, role } => {
                let user = self.people[*who as usize].identity.id();
                self.append(*room, Op::SetRole { user, role: *role }, None).await;
            }
            Step::Remove { room, who } => {
                let user = self.people[*who as usize].identity.id();
                self.append(*room, Op::Remove { user, epoch: None }, None).await;
            }
            Step::Freeze(room, frozen) => {
                let Some(id) = self.model.rooms.keys().nth(*room).copied() else { return };
                assert_eq!(self.store.set_frozen(&id, *frozen).await, Ok(()));
                self.model.rooms.get_mut(&id).expect("it was found").frozen = *frozen;
            }
            Step::Delete(room) => {
                let Some(id) = self.model.rooms.keys().nth(*room).copied() else { return };
                assert_eq!(self.store.delete_room(&id, NOW).await, Ok(()));
                self.model.rooms.remove(&id);
            }
            Step::Reopen => {
                self.store.close().await;
                self.store = self.backend.open(ViewLimits::default()).await;
            }
        }
    }

    async fn admit(&mut self, who: u8, role: BusRole) {
        let person = &self.people[who as usize];
        let expected: Outcome = match self.model.users.entry(person.identity.id()) {
            Entry::Occupied(_) => Err(Conflict::UserExists.into()),
            Entry::Vacant(entry) => {
                entry.insert(ModelUser { role, revoked: false });
                Ok(())
            }
        };
        assert_eq!(self.store.add_user(person.new_user(role)).await.map(drop), expected);
    }

    async fn set_role(&mut self, who: u8, role: BusRole) {
        let id = self.people[who as usize].identity.id();
        let is_last = self.model.is_last_admin(&id);
        let expected: Outcome = match self.model.users.get_mut(&id) {
            None => Err(StoreError::NotFound),
            Some(user) if user.revoked => Err(Conflict::UserRevoked.into()),
            Some(_) if is_last && role != BusRole::Admin => Err(Conflict::LastAdmin.into()),
            Some(user) => {
                user.role = role;
                Ok(())
            }
        };
        assert_eq!(self.store.set_user_role(&id, role).await.map(drop), expected);
    }

    async fn revoke(&mut self, who: u8) {
        let id = self.people[who as usize].identity.id();
        let is_last = self.model.is_last_admin(&id);
        let expected: Outcome = match self.model.users.get_mut(&id) {
            None => Err(StoreError::NotFound),
            Some(user) if user.revoked => Ok(()),
            Some(_) if is_last => Err(Conflict::LastAdmin.into()),
            Some(user) => {
                user.revoked = true;
                self.model.freeze_rooms_without_owner(&id);
                Ok(())
            }
        };
        assert_eq!(self.store.revoke_user(&id, NOW).await.map(drop), expected);
    }

    async fn create(&mut self, owner: u8, subject: &str) {
        let person = &self.people[owner as usize];
        self.model.created += 1;
        let room = person.new_room(subject, NOW + self.model.created);
        let id = person.identity.id();
        let taken = self.model.rooms.values().map(|room| room.state.subject());
        let taken = taken.filter(|taken| overlaps(taken.as_str(), subject)).collect::<Vec<_>>();
        let got = self.store.create_room(room.clone()).await;
        if !taken.is_empty() {
            let Err(StoreError::Conflict(Conflict::SubjectOverlaps(with))) = got else { panic!("{got:?}") };
            assert!(taken.contains(&&with));
            return;
        }
        let expected: Outcome = match self.model.users.get(&id) {
            None => Err(Conflict::UnknownMember(id).into()),
            Some(user) if user.revoked => Err(Conflict::MemberRevoked(id).into()),
            Some(_) => {
                let state = room.state().clone();
                self.model.rooms.insert(state.id(), ModelRoom { state, frozen: false });
                Ok(())
            }
        };
        assert_eq!(got, expected);
    }

    async fn append(&mut self, room: usize, op: Op, newcomer: Option<u8>) {
        let Some(found) = self.model.room(room) else { return };
        let owner = owner_of(&found.state, &self.people);
        // What the room protocol refuses does not reach a store.
        let Some(append) = self.people[owner].try_append(&found.state, op) else { return };
        let newcomer = newcomer.map(|who| self.people[who as usize].identity.id());
        let expected: Outcome = match newcomer.map(|id| (id, self.model.users.get(&id))) {
            Some((id, None)) => Err(Conflict::UnknownMember(id).into()),
            Some((id, Some(user))) if user.revoked => Err(Conflict::MemberRevoked(id).into()),
            _ => Ok(()),
        };
        assert_eq!(self.store.append(append.clone()).await.map(drop), expected);
        if expected.is_ok() {
            let room = self.model.rooms.get_mut(append.room()).expect("it was found");
            let owners = |state: &RoomState| -> BTreeSet<UserId> {
                state
                    .members()
                    .filter(|member| member.role == RoomRole::Owner)
                    .map(|member| member.user)
                    .collect()
            };
            let (before, after) = (owners(&room.state), owners(append.next()));
            let loses_owner = !before.is_subset(&after);
            room.frozen |= loses_owner && after.iter().all(|owner| self.model.users[owner].revoked);
            room.state = append.next().clone();
        }
    }

    async fn compare(&self) {
        check_view(&*self.store).await;
        let size = self.store.view().size();
        assert_eq!((size.users, size.rooms), (self.model.users.len(), self.model.rooms.len()));
        for (id, expected) in &self.model.users {
            let user = self.store.user(id).await.expect("the user is stored");
            assert_eq!((user.role, user.revoked.is_some()), (expected.role, expected.revoked));
        }
        for (id, expected) in &self.model.rooms {
            let room = self.store.room(id).await.expect("the room is stored");
            assert_eq!((&*room.state, room.frozen), (&*expected.state, expected.frozen));
        }
        let listed = self.store.rooms(Page::first(100)).await.expect("rooms");
        assert!(listed.items.iter().map(|room| &room.id).eq(self.model.rooms.keys()));
    }
}

async fn run(backend: Box<dyn Backend>, steps: Vec<Step>) {
    let store = backend.open(ViewLimits::default()).await;
    let people = (0..PEOPLE).map(Person::number).collect();
    let mut run = Run { backend, store, model: Model::default(), people };
    for step in &steps {
        run.step(step).await;
        run.compare().await;
    }
    run.store.close().await;
}

fn cases() -> u32 {
    if std::env::var_os("UNIBUS_LONG").is_some() { 400 } else { 12 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_like_plain_maps(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(run(Box::new(SqliteBackend::fresh()), steps));
    }

    #[test]
    fn the_kv_store_behaves_like_plain_maps(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let servers = Arc::new(Servers::embedded().await);
            let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
            run(Box::new(backend), steps).await;
        });
    }
}
