//! A room in its owner's hands, whatever happens to the nodes.

use std::time::{SystemTime, UNIX_EPOCH};

use bus_testkit::faults::{Outcome, User, Write};
use control_api::{Append, NewRoom};
use room_protocol::{
    Encryption, Epoch, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomRole, RoomState,
    RoomSubject, SealedFor, SignedStatement, Statement, required_seals,
};

use super::world::{MadeRoom, World, entry_of};

/// The room. Nobody but its owner writes its log.
pub(crate) struct Held<'a> {
    world: &'a World,
    pub(crate) room: MadeRoom,
    state: RoomState,
    /// Of the present epoch, if the room has any.
    key: EpochKey,
}

impl<'a> Held<'a> {
    /// Makes a room, on whichever node does it. `None` when the run is over.
    pub(crate) async fn create(world: &'a World, owner: User, history: History) -> Option<Self> {
        let number = world.next_room();
        let person = &world.people[owner.0];
        let subject: RoomSubject = format!("room-{}", number.0).parse().unwrap();
        let encryption = if world.cluster.network.is_public() { Encryption::E2e } else { Encryption::None };
        let key = EpochKey::generate(&mut rand::rng());
        let context = KeyContext::Create { subject: subject.clone(), author: person.identity.id() };
        let create = Op::Create {
            name: subject.as_str().parse().unwrap(),
            subject,
            encryption,
            history,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&person.identity, person.info.handle.clone()),
            epoch: (encryption == Encryption::E2e).then(|| key.open_epoch(&context, 1)),
        };
        let first = Statement::first(create, now_ms()).sign(&person.identity);
        let state = RoomState::open(&first).unwrap();
        let keeps = history != History::None;
        let room = MadeRoom {
            number,
            id: state.id(),
            subject: state.subject().clone(),
            owner,
            keeps,
            encryption: Encryption::None,
        };
        world.rooms.lock().push(room.clone());
        let write = Write::Create { room: number, entry: entry_of(&first) };
        let body = NewRoom::new(&first, seals(&state, &first, &key));
        world.until_done(owner, write, "/v1/rooms", &body).await?;
        Some(Self { world, room, state, key })
    }

    pub(crate) async fn add(&mut self, user: User, role: RoomRole) -> Option<Outcome> {
        let info = &self.world.people[user.0].info;
        let (key, epoch) = self.turn_to(self.state.add_opens_epoch());
        let op = Op::add(&info.card().unwrap(), info.handle.clone(), role, epoch);
        let room = self.room.number;
        self.append(op, key, |statement| Write::Add { room, user, entry: entry_of(statement) }).await
    }

    pub(crate) async fn remove(&mut self, user: User) -> Option<Outcome> {
        let (key, epoch) = self.turn_to(self.state.removal_opens_epoch());
        let op = Op::Remove { user: self.world.identity(user).id(), epoch };
        let room = self.room.number;
        self.append(op, key, |statement| Write::Remove { room, user, entry: entry_of(statement) }).await
    }

    /// The key after the next statement, and the epoch that it opens, where that statement has to.
    fn turn_to(&self, opens: bool) -> (EpochKey, Option<Epoch>) {
        match self.state.next_epoch_number().filter(|_| opens) {
            Some(n) => {
                let key = EpochKey::generate(&mut rand::rng());
                let epoch = key.open_epoch(&self.state.key_context(n), n);
                (key, Some(epoch))
            }
            None => (self.key.clone(), None),
        }
    }

    async fn append(
        &mut self,
        op: Op,
        key: EpochKey,
        write: impl FnOnce(&SignedStatement) -> Write,
    ) -> Option<Outcome> {
        let owner = self.room.owner;
        // The very same statement each time, so that it is there once.
        let statement = self.state.next_statement(op, now_ms()).sign(self.world.identity(owner));
        let next = self.state.apply(&statement).unwrap();
        let path = format!("/v1/rooms/{}/log", self.room.id);
        let body = Append::new(&statement, seals(&next, &statement, &key));
        let outcome = self.world.until_done(owner, write(&statement), &path, &body).await?;
        (self.state, self.key) = (next, key);
        Some(outcome)
    }
}

/// The keys that a statement owes to members: none where the room is not encrypted.
fn seals(after: &RoomState, statement: &SignedStatement, key: &EpochKey) -> Vec<SealedFor> {
    required_seals(after, statement.statement()).seal(after, key, &mut rand::rng()).unwrap()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
