//! Rooms as a client holds them: state, keys and the next statement.

use busauth::{Handle, Identity};
use control_api::{Append, Appended, NewRoom, RoomInfo};
use http::StatusCode;
use room_protocol::{
    Encryption, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomRole, RoomState, SealedFor,
    SignedStatement, Statement, required_seals,
};

use super::{Bus, Call, now_ms};

pub(crate) struct RoomDraft<'a> {
    pub(crate) owner: &'a Identity,
    pub(crate) handle: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) encryption: Encryption,
    pub(crate) history: History,
}

impl<'a> RoomDraft<'a> {
    pub(crate) fn encrypted(owner: &'a Identity, handle: &'a str, subject: &'a str) -> Self {
        Self { owner, handle, subject, encryption: Encryption::E2e, history: History::None }
    }

    pub(crate) fn plain(owner: &'a Identity, handle: &'a str, subject: &'a str) -> Self {
        Self { encryption: Encryption::None, ..Self::encrypted(owner, handle, subject) }
    }

    /// The first statement and the key sealed to its author.
    pub(crate) fn sign(&self) -> (SignedStatement, Vec<SealedFor>) {
        let subject: room_protocol::RoomSubject = self.subject.parse().unwrap();
        let context = KeyContext::Create { subject: subject.clone(), author: self.owner.id() };
        let key = EpochKey::generate(&mut rand::rng());
        let op = Op::Create {
            subject,
            name: "a room".parse().unwrap(),
            encryption: self.encryption,
            history: self.history,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(self.owner, self.handle.parse().unwrap()),
            epoch: (self.encryption == Encryption::E2e).then(|| key.open_epoch(&context, 1)),
        };
        let statement = Statement::first(op, now_ms()).sign(self.owner);
        let state = RoomState::open(&statement).unwrap();
        let seals =
            required_seals(&state, statement.statement()).seal(&state, &key, &mut rand::rng()).unwrap();
        (statement, seals)
    }

    pub(crate) fn body(&self) -> NewRoom {
        let (statement, seals) = self.sign();
        NewRoom::new(&statement, seals)
    }

    /// Makes the room.
    pub(crate) async fn create(&self, bus: &Bus) -> TestRoom {
        let (statement, seals) = self.sign();
        let body = NewRoom::new(&statement, seals);
        let info: RoomInfo = bus.post(self.owner, "/v1/rooms", &body).ok(StatusCode::CREATED).await;
        let state = RoomState::open(&statement).unwrap();
        assert_eq!(info.room.id, state.id());
        TestRoom { state }
    }
}

/// A room whose log one client has followed.
#[derive(Clone)]
pub(crate) struct TestRoom {
    pub(crate) state: RoomState,
}

impl TestRoom {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/rooms/{}{rest}", self.state.id())
    }

    /// A statement with everything it owes, and the room after it.
    pub(crate) fn next(&self, author: &Identity, op: Op) -> (Append, RoomState) {
        let key = EpochKey::generate(&mut rand::rng());
        self.next_with(author, op, &key)
    }

    pub(crate) fn next_with(&self, author: &Identity, op: Op, key: &EpochKey) -> (Append, RoomState) {
        let statement = self.state.next_statement(op, now_ms()).sign(author);
        let after = self.state.apply(&statement).unwrap();
        let seals =
            required_seals(&after, statement.statement()).seal(&after, key, &mut rand::rng()).unwrap();
        (Append::new(&statement, seals), after)
    }

    /// The next epoch, opened by a new key.
    pub(crate) fn next_epoch(&self) -> Option<(EpochKey, room_protocol::Epoch)> {
        let n = self.state.next_epoch_number()?;
        let key = EpochKey::generate(&mut rand::rng());
        let epoch = key.open_epoch(&self.state.key_context(n), n);
        Some((key, epoch))
    }

    pub(crate) fn add_op(&self, user: &Identity, handle: &str, role: RoomRole) -> (Op, EpochKey) {
        let handle: Handle = handle.parse().unwrap();
        let opened = self.next_epoch().filter(|_| self.state.add_opens_epoch());
        let (key, epoch) = match opened {
            Some((key, epoch)) => (key, Some(epoch)),
            None => (EpochKey::generate(&mut rand::rng()), None),
        };
        (Op::add(&user.card(None), handle, role, epoch), key)
    }

    pub(crate) fn remove_op(&self, user: &Identity) -> (Op, EpochKey) {
        let opened = self.next_epoch().filter(|_| self.state.removal_opens_epoch());
        let (key, epoch) = match opened {
            Some((key, epoch)) => (key, Some(epoch)),
            None => (EpochKey::generate(&mut rand::rng()), None),
        };
        (Op::Remove { user: user.id(), epoch }, key)
    }

    pub(crate) fn post<'a>(&self, bus: &'a Bus, caller: &'a Identity, append: &Append) -> Call<'a> {
        bus.post(caller, &self.path("/log"), append)
    }

    async fn apply(&mut self, bus: &Bus, author: &Identity, (op, key): (Op, EpochKey)) {
        let (append, after) = self.next_with(author, op, &key);
        let appended: Appended = self.post(bus, author, &append).ok(StatusCode::OK).await;
        assert_eq!(appended.head, after.head());
        self.state = after;
    }

    /// An owner adds somebody.
    pub(crate) async fn add(
        &mut self,
        bus: &Bus,
        owner: &Identity,
        user: &Identity,
        handle: &str,
        role: RoomRole,
    ) {
        self.apply(bus, owner, self.add_op(user, handle, role)).await;
    }

    /// An owner removes somebody.
    pub(crate) async fn remove(&mut self, bus: &Bus, owner: &Identity, user: &Identity) {
        self.apply(bus, owner, self.remove_op(user)).await;
    }

    /// An operation that opens no epoch.
    pub(crate) async fn plain(&mut self, bus: &Bus, author: &Identity, op: Op) {
        self.apply(bus, author, (op, EpochKey::generate(&mut rand::rng()))).await;
    }
}
