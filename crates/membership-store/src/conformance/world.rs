//! People, rooms and statements for the cases.

use std::sync::Arc;

use busauth::{Handle, Identity, IdentityCard};
use room_protocol::{
    Encryption, Epoch, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomRole, RoomState,
    SignedStatement, Statement, required_seals,
};

use super::{Backend, check_view};
use crate::{Append, BusRole, MembershipStore, NewRoom, NewUser, StoreError, User, ViewLimits};

/// Unix seconds at which everything in the cases happens.
pub(super) const NOW: u64 = 1_700_000_000;

/// A backend, and the handle of it that is open.
pub(super) struct World {
    backend: Box<dyn Backend>,
    limits: ViewLimits,
    pub(super) store: Arc<dyn MembershipStore>,
}

impl World {
    pub(super) async fn new(backend: Box<dyn Backend>) -> Self {
        let limits = ViewLimits::default();
        let store = backend.open(limits).await;
        Self { backend, limits, store }
    }

    pub(super) async fn second(&self) -> Arc<dyn MembershipStore> {
        self.backend.open_second(&self.store, self.limits).await
    }

    pub(super) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.backend.open(self.limits).await;
    }

    /// Opens the data again, with room for so many rooms that keep their messages.
    pub(super) async fn reopen_with_durable_rooms(&mut self, durable_rooms: usize) {
        self.limits.durable_rooms = durable_rooms;
        self.reopen().await;
    }

    pub(super) async fn check_and_reopen(&mut self) {
        if self.store.is_first_start().await == Err(StoreError::Unavailable) {
            // The case closed the store.
            self.store = self.backend.open(self.limits).await;
        }
        check_view(&*self.store).await;
        let before = self.store.view().size();
        self.reopen().await;
        check_view(&*self.store).await;
        assert_eq!(self.store.view().size(), before, "the view has another size after opening again");
    }

    pub(super) async fn close(&self) {
        self.store.close().await;
    }

    /// Admits somebody new.
    pub(super) async fn admit(&self, handle: &str, role: BusRole) -> Person {
        let person = Person::new(handle);
        self.store.add_user(person.new_user(role)).await.expect("a new user is admitted");
        person
    }

    /// Creates a room of `owner` that is encrypted and shares its history.
    pub(super) async fn create(&self, owner: &Person, subject: &str) -> Arc<RoomState> {
        let room = owner.new_room(subject, Encryption::E2e, History::Shared);
        let state = room.state().clone();
        self.store.create_room(room).await.expect("the room is created");
        state
    }

    /// Appends `op`, which must succeed; answers the state after it.
    pub(super) async fn append(&self, state: &RoomState, author: &Person, op: Op) -> Arc<RoomState> {
        let append = author.append(state, op);
        let next = append.next().clone();
        self.store.append(append).await.expect("the statement is appended");
        next
    }

    /// Adds a member.
    pub(super) async fn add(
        &self,
        state: &RoomState,
        owner: &Person,
        new: &Person,
        role: RoomRole,
    ) -> Arc<RoomState> {
        self.append(state, owner, new.added_as(role)).await
    }
}

/// Somebody with an identity and a handle.
pub(super) struct Person {
    pub(super) identity: Identity,
    pub(super) handle: Handle,
}

impl Person {
    pub(super) fn new(handle: &str) -> Self {
        Self::with(Identity::generate(), handle)
    }

    pub(super) fn with(identity: Identity, handle: &str) -> Self {
        Self { identity, handle: handle.parse().expect("a handle") }
    }

    pub(super) fn card(&self) -> IdentityCard {
        self.identity.card(Some(self.handle.clone()))
    }

    pub(super) fn new_user(&self, role: BusRole) -> NewUser {
        NewUser { card: self.card(), handle: self.handle.clone(), role, at: NOW }
    }

    /// The user as the store should have it.
    pub(super) fn user(&self, role: BusRole) -> User {
        let card = self.card();
        User {
            id: card.id,
            handle: self.handle.clone(),
            login: card.login,
            exchange: card.exchange,
            certificates: card.certificates,
            role,
            created: NOW,
            revoked: None,
        }
    }

    /// The statement part that makes this person a member of a room that shares its history.
    pub(super) fn added_as(&self, role: RoomRole) -> Op {
        Op::add(&self.card(), self.handle.clone(), role, None)
    }

    /// A room of which this person is the owner.
    pub(super) fn new_room(&self, subject: &str, encryption: Encryption, history: History) -> NewRoom {
        let (first, key) = self.create_statement(subject, encryption, history);
        let state = RoomState::open(&first).expect("a valid first statement");
        let seals = required_seals(&state, first.statement());
        let sealed = seals.seal(&state, &key, &mut rand::rng()).expect("usable exchange keys");
        NewRoom::new(first, sealed, NOW).expect("a valid first statement")
    }

    fn create_statement(
        &self,
        subject: &str,
        encryption: Encryption,
        history: History,
    ) -> (SignedStatement, EpochKey) {
        let subject: room_protocol::RoomSubject = subject.parse().expect("a room subject");
        let key = EpochKey::generate(&mut rand::rng());
        let context = KeyContext::Create { subject: subject.clone(), author: self.identity.id() };
        let epoch = (encryption == Encryption::E2e).then(|| key.open_epoch(&context, 1));
        let op = Op::Create {
            name: subject.as_str().parse().expect("a room name"),
            subject,
            encryption,
            history,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&self.identity, self.handle.clone()),
            epoch,
        };
        (Statement::first(op, NOW * 1000).sign(&self.identity), key)
    }

    /// A statement of this person on top of `state`, with the sealed keys that belong to it.
    pub(super) fn append(&self, state: &RoomState, op: Op) -> Append {
        self.append_with(state, op, &EpochKey::generate(&mut rand::rng()))
    }

    /// Removes `who`; opens the next epoch, as an encrypted room needs it.
    pub(super) fn remove(&self, state: &RoomState, who: &Person) -> Append {
        let (epoch, key) = next_epoch(state);
        self.append_with(state, Op::Remove { user: who.identity.id(), epoch }, &key)
    }

    /// Opens the next epoch.
    pub(super) fn rekey(&self, state: &RoomState) -> Append {
        let (epoch, key) = next_epoch(state);
        self.append_with(state, Op::Rekey { epoch: epoch.expect("an encrypted room") }, &key)
    }

    fn append_with(&self, state: &RoomState, op: Op, key: &EpochKey) -> Append {
        let statement = state.next_statement(op, NOW * 1000).sign(&self.identity);
        let after = state.apply(&statement).expect("a valid statement");
        let seals = required_seals(&after, statement.statement());
        let sealed = seals.seal(&after, key, &mut rand::rng()).expect("usable exchange keys");
        Append::new(state, statement, sealed).expect("a valid statement")
    }
}

fn next_epoch(state: &RoomState) -> (Option<Epoch>, EpochKey) {
    let key = EpochKey::generate(&mut rand::rng());
    let epoch = state.next_epoch_number().map(|n| key.open_epoch(&state.key_context(n), n));
    (epoch, key)
}

/// Renames the room: a statement that an owner can always make, told apart by `name`.
pub(super) fn renamed(name: &str) -> Op {
    Op::Update { name: name.parse().expect("a room name"), limits: RoomLimits::default() }
}
