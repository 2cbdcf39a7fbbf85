//! People and statements for the tests.

use busauth::{Handle, Identity};
use membership_store::{Append, BusRole, NewRoom, NewUser};
use room_protocol::{
    Encryption, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomRole, RoomState, Statement,
    required_seals,
};

pub(crate) const NOW: u64 = 1_700_000_000;

/// Somebody with an identity and a handle.
pub(crate) struct Person {
    pub(crate) identity: Identity,
    pub(crate) handle: Handle,
}

impl Person {
    /// The same person for the same number, in every process.
    pub(crate) fn number(n: u8) -> Self {
        let seed = |kind: u8| {
            let mut seed = [kind; 32];
            seed[0] = n;
            seed
        };
        Self {
            identity: Identity::from_seeds(seed(1), seed(2), seed(3)),
            handle: format!("person-{n}").parse().expect("a handle"),
        }
    }

    pub(crate) fn new_user(&self, role: BusRole) -> NewUser {
        NewUser {
            card: self.identity.card(Some(self.handle.clone())),
            handle: self.handle.clone(),
            role,
            at: NOW,
        }
    }

    /// A room without encryption, created at `at` (unix seconds), with this person as the owner.
    pub(crate) fn new_room(&self, subject: &str, at: u64) -> NewRoom {
        let op = Op::Create {
            subject: subject.parse().expect("a room subject"),
            name: subject.parse().expect("a room name"),
            encryption: Encryption::None,
            history: History::None,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&self.identity, self.handle.clone()),
            epoch: None,
        };
        let first = Statement::first(op, at * 1000).sign(&self.identity);
        NewRoom::new(first, Vec::new(), at).expect("a valid first statement")
    }

    /// The op that makes this person a member.
    pub(crate) fn added_as(&self, role: RoomRole) -> Op {
        Op::add(&self.identity.card(Some(self.handle.clone())), self.handle.clone(), role, None)
    }

    /// A statement of this person on top of `state`; `None` if the room protocol refuses it.
    pub(crate) fn try_append(&self, state: &RoomState, op: Op) -> Option<Append> {
        let statement = state.next_statement(op, NOW * 1000).sign(&self.identity);
        Append::new(state, statement, Vec::new()).ok()
    }

    /// A statement of this person that renames the room.
    pub(crate) fn rename(&self, state: &RoomState, name: &str) -> Append {
        let name = name.parse().expect("a room name");
        self.try_append(state, Op::Update { name, limits: RoomLimits::default() }).expect("a valid statement")
    }

    /// An encrypted room with this person as the owner.
    pub(crate) fn new_encrypted_room(&self, subject: &str) -> NewRoom {
        let key = EpochKey::generate(&mut rand::rng());
        let subject: room_protocol::RoomSubject = subject.parse().expect("a room subject");
        let context = KeyContext::Create { subject: subject.clone(), author: self.identity.id() };
        let op = Op::Create {
            name: subject.as_str().parse().expect("a room name"),
            subject,
            encryption: Encryption::E2e,
            history: History::Shared,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&self.identity, self.handle.clone()),
            epoch: Some(key.open_epoch(&context, 1)),
        };
        let first = Statement::first(op, NOW * 1000).sign(&self.identity);
        let state = RoomState::open(&first).expect("a valid first statement");
        let seals = required_seals(&state, first.statement());
        let sealed = seals.seal(&state, &key, &mut rand::rng()).expect("usable exchange keys");
        NewRoom::new(first, sealed, NOW).expect("a valid first statement")
    }

    /// Adds a member to an encrypted room, with the key of the current epoch.
    pub(crate) fn add_sealed(&self, state: &RoomState, new: &Self) -> Append {
        self.append_sealed(state, new.added_as(RoomRole::Writer), &EpochKey::generate(&mut rand::rng()))
    }

    /// Opens the next epoch, with its key sealed to every member.
    pub(crate) fn rekey(&self, state: &RoomState) -> Append {
        let key = EpochKey::generate(&mut rand::rng());
        let n = state.next_epoch_number().expect("an encrypted room");
        let epoch = key.open_epoch(&state.key_context(n), n);
        self.append_sealed(state, Op::Rekey { epoch }, &key)
    }

    fn append_sealed(&self, state: &RoomState, op: Op, key: &EpochKey) -> Append {
        let statement = state.next_statement(op, NOW * 1000).sign(&self.identity);
        let after = state.apply(&statement).expect("a valid statement");
        let seals = required_seals(&after, statement.statement());
        let sealed = seals.seal(&after, key, &mut rand::rng()).expect("usable exchange keys");
        Append::new(state, statement, sealed).expect("a valid statement")
    }
}
