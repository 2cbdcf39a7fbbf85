//! What an owner owes a room.

use busauth::Identity;
use room_protocol::{
    Encryption, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomRole, RoomState, Statement,
};

use super::{Duty, duty};
use crate::room::change::Draft;

struct People {
    alice: Identity,
    bob: Identity,
}

impl People {
    fn new() -> Self {
        Self { alice: Identity::generate(), bob: Identity::generate() }
    }

    /// An encrypted room of alice's with bob in it.
    fn room(&self) -> RoomState {
        let subject: room_protocol::RoomSubject = "lab".parse().unwrap();
        let context = KeyContext::Create { subject: subject.clone(), author: self.alice.id() };
        let op = Op::Create {
            subject,
            name: "lab".parse().unwrap(),
            encryption: Encryption::E2e,
            history: History::None,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&self.alice, "alice".parse().unwrap()),
            epoch: Some(EpochKey::generate(&mut rand::rng()).open_epoch(&context, 1)),
        };
        let state = RoomState::open(&Statement::first(op, 1).sign(&self.alice)).unwrap();
        let handle: busauth::Handle = "bob".parse().unwrap();
        let card = self.bob.card(Some(handle.clone()));
        let draft = Draft::adding(&state, |epoch| Op::add(&card, handle, RoomRole::Writer, epoch));
        state.apply(&state.next_statement(draft.op, 2).sign(&self.alice)).unwrap()
    }
}

#[test]
fn an_owner_owes_a_removal_after_a_revocation_and_a_new_key_after_a_leave() {
    let people = People::new();
    let room = people.room();
    let (alice, bob) = (people.alice.id(), people.bob.id());
    assert_eq!(duty(&room, &alice, &[]), None);
    assert_eq!(duty(&room, &alice, &[bob]), Some(Duty::Remove(vec![bob])));
    // Nobody removes themselves, and strangers are none of the room's business.
    assert_eq!(duty(&room, &alice, &[alice, Identity::generate().id()]), None);
    let left =
        room.apply(&room.next_statement(Op::Remove { user: bob, epoch: None }, 3).sign(&people.bob)).unwrap();
    assert_eq!(duty(&left, &alice, &[]), Some(Duty::Rekey));
    let rekeyed =
        left.apply(&left.next_statement(Draft::rekey(&left).unwrap().op, 4).sign(&people.alice)).unwrap();
    assert_eq!(duty(&rekeyed, &alice, &[]), None);
}

#[test]
fn who_is_not_an_owner_owes_nothing() {
    let people = People::new();
    let room = people.room();
    assert_eq!(duty(&room, &people.bob.id(), &[people.alice.id()]), None);
}

#[test]
fn every_draft_draws_a_key_of_its_own() {
    let room = People::new().room();
    let epochs: Vec<_> =
        (0..2).map(|_| Draft::rekey(&room).unwrap().op.epoch().unwrap().commitment).collect();
    assert_ne!(epochs[0], epochs[1]);
}
