//! People, rooms and statements, as clients would make them.

use anyhow::{Context as _, Result};
use busauth::{Handle, Identity};
use membership_store::{Append, BusRole, NewRoom, NewUser};
use room_protocol::{
    Encryption, Epoch, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomRole, RoomState,
    Statement, required_seals,
};

/// Unix seconds; when something is said does not matter here.
const NOW: u64 = 1_700_000_000;

/// Somebody with an identity and a handle.
pub(super) struct Person {
    pub(super) identity: Identity,
    handle: Handle,
}

impl Person {
    /// Somebody new, whose handle has the length of a usual one.
    pub(super) fn new(number: usize) -> Result<Self> {
        Ok(Self { identity: Identity::generate(), handle: format!("person-{number:06}").parse()? })
    }

    pub(super) fn new_user(&self) -> NewUser {
        let card = self.identity.card(Some(self.handle.clone()));
        NewUser { card, handle: self.handle.clone(), role: BusRole::Member, at: NOW }
    }

    /// A room of this person.
    pub(super) fn new_room(&self, subject: &str, encryption: Encryption) -> Result<NewRoom> {
        let subject: room_protocol::RoomSubject = subject.parse()?;
        let key = EpochKey::generate(&mut rand::rng());
        let context = KeyContext::Create { subject: subject.clone(), author: self.identity.id() };
        let op = Op::Create {
            name: subject.as_str().parse()?,
            subject,
            encryption,
            history: History::None,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&self.identity, self.handle.clone()),
            epoch: (encryption == Encryption::E2e).then(|| key.open_epoch(&context, 1)),
        };
        let first = Statement::first(op, NOW * 1000).sign(&self.identity);
        let state = RoomState::open(&first)?;
        let sealed = required_seals(&state, first.statement()).seal(&state, &key, &mut rand::rng())?;
        Ok(NewRoom::new(first, sealed, NOW)?)
    }

    /// Adds somebody to a room of this person; an encrypted one gets a new key, so that newcomers cannot read what came
    /// before.
    pub(super) fn add(&self, state: &RoomState, new: &Self) -> Result<Append> {
        let card = new.identity.card(Some(new.handle.clone()));
        let key = EpochKey::generate(&mut rand::rng());
        let op = Op::add(&card, new.handle.clone(), RoomRole::Writer, next_epoch(state, &key));
        self.append(state, op, &key)
    }

    /// Removes somebody from it; an encrypted one gets a new key, sealed to all who stay.
    pub(super) fn remove(&self, state: &RoomState, who: &Self) -> Result<Append> {
        let key = EpochKey::generate(&mut rand::rng());
        let epoch = next_epoch(state, &key);
        self.append(state, Op::Remove { user: who.identity.id(), epoch }, &key)
    }

    fn append(&self, state: &RoomState, op: Op, key: &EpochKey) -> Result<Append> {
        let statement = state.next_statement(op, NOW * 1000).sign(&self.identity);
        let after = state.apply(&statement).context("a statement that the room protocol refuses")?;
        let sealed = required_seals(&after, statement.statement()).seal(&after, key, &mut rand::rng())?;
        Ok(Append::new(state, statement, sealed)?)
    }
}

fn next_epoch(state: &RoomState, key: &EpochKey) -> Option<Epoch> {
    state.next_epoch_number().map(|n| key.open_epoch(&state.key_context(n), n))
}
