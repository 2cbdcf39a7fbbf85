//! A room in its owner's hands, whatever happens to the nodes.

use std::time::{SystemTime, UNIX_EPOCH};

use bus_testkit::faults::{Outcome, User, Write};
use control_api::{Append, NewRoom};
use room_protocol::{
    Encryption, FirstOwner, History, Op, RoomLimits, RoomRole, RoomState, SignedStatement, Statement,
};

use super::world::{MadeRoom, World, entry_of};

/// The room. Nobody but its owner writes its log.
pub(crate) struct Held<'a> {
    world: &'a World,
    pub(crate) room: MadeRoom,
    state: RoomState,
}

impl<'a> Held<'a> {
    /// Makes a room, on whichever node does it. `None` when the run is over.
    pub(crate) async fn create(world: &'a World, owner: User, history: History) -> Option<Self> {
        let number = world.next_room();
        let person = &world.people[owner.0];
        let subject = format!("room-{}", number.0);
        let create = Op::Create {
            subject: subject.parse().unwrap(),
            name: subject.parse().unwrap(),
            encryption: Encryption::None,
            history,
            limits: RoomLimits::default(),
            owner: FirstOwner::new(&person.identity, person.info.handle.clone()),
            epoch: None,
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
        world.until_done(owner, write, "/v1/rooms", &NewRoom::new(&first, Vec::new())).await?;
        Some(Self { world, room, state })
    }

    pub(crate) async fn add(&mut self, user: User, role: RoomRole) -> Option<Outcome> {
        let info = &self.world.people[user.0].info;
        let op = Op::add(&info.card().unwrap(), info.handle.clone(), role, None);
        let room = self.room.number;
        self.append(op, |statement| Write::Add { room, user, entry: entry_of(statement) }).await
    }

    pub(crate) async fn remove(&mut self, user: User) -> Option<Outcome> {
        let op = Op::Remove { user: self.world.identity(user).id(), epoch: None };
        let room = self.room.number;
        self.append(op, |statement| Write::Remove { room, user, entry: entry_of(statement) }).await
    }

    async fn append(&mut self, op: Op, write: impl FnOnce(&SignedStatement) -> Write) -> Option<Outcome> {
        let owner = self.room.owner;
        // The very same statement each time, so that it is there once.
        let statement = self.state.next_statement(op, now_ms()).sign(self.world.identity(owner));
        let next = self.state.apply(&statement).unwrap();
        let path = format!("/v1/rooms/{}/log", self.room.id);
        let body = Append::new(&statement, Vec::new());
        let outcome = self.world.until_done(owner, write(&statement), &path, &body).await?;
        self.state = next;
        Some(outcome)
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
