//! A bus that keeps its promises, and what its clients note while they use it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::{Strategy, any};

use crate::faults::record::{
    Entry, Message, Moment, Node, Nonce, Operation, Outcome, Received, Record, Room, SeenLog, Snapshot, User,
    Write,
};

/// How long a removal may be pending here.
pub(super) const STALENESS: Duration = Duration::from_millis(150);
/// A room that nothing random happens in, with three messages.
pub(super) const QUIET: Room = Room(9);
/// Its owner.
pub(super) const OWNER: User = User(8);
/// Who was a member of it.
pub(super) const LEFT: User = User(9);

const NODES: usize = 3;
const ROOMS: usize = 3;
const USERS: usize = 5;
/// From one thing that happens to the next.
const STEP: u64 = 10;
/// How long an answer may be on its way, and a request before it: so much that several overlap.
const LAG: u64 = 35;

/// What was recorded, and what the nodes have.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) record: Record,
    pub(super) snapshots: Vec<Snapshot>,
}

/// Something that somebody tries.
#[derive(Debug, Clone, Copy)]
struct Turn {
    what: u8,
    by: usize,
    user: usize,
    room: usize,
    node: usize,
    /// How long before and after the moment of truth.
    lags: (u64, u64),
    luck: u8,
}

#[derive(Default)]
struct Truth {
    rooms: BTreeMap<Room, TrueRoom>,
    revoked: BTreeSet<User>,
    spent: BTreeSet<(User, Nonce)>,
    record: Record,
    now: u64,
    made: u64,
}

#[derive(Default)]
struct TrueRoom {
    members: BTreeSet<User>,
    log: Vec<Entry>,
    messages: Vec<Message>,
    /// Rights that some node may still grant, and until when.
    lagging: BTreeMap<User, u64>,
}

pub(super) fn worlds() -> impl Strategy<Value = World> {
    let turn = (0..7_u8, 0..USERS, 0..USERS, 0..ROOMS, 0..NODES, (0..LAG, 0..LAG), any::<u8>());
    let turn = turn.prop_map(|(what, by, user, room, node, lags, luck)| Turn {
        what,
        by,
        user,
        room,
        node,
        lags,
        luck,
    });
    proptest::collection::vec(turn, 0..120).prop_map(|turns| {
        let mut truth = Truth { now: 1000, ..Truth::default() };
        truth.quiet_room();
        for turn in &turns {
            truth.take(*turn);
        }
        truth.into_world()
    })
}

impl World {
    /// Somebody asks for something when everything else is over, and is answered.
    pub(super) fn asks(&mut self, by: User, write: Write, outcome: Outcome) {
        let began = self.record.ended.after(Duration::from_millis(1));
        let ended = began.after(Duration::from_millis(1));
        self.record.operations.push(Operation { by, node: Node(0), write, began, ended, outcome });
        self.record.ended = ended;
    }
}

impl Truth {
    fn quiet_room(&mut self) {
        let mut room = TrueRoom::default();
        let mut asks = |by, write| {
            self.now += STEP;
            self.note(by, write, (1, 1), 0, Outcome::Acknowledged);
        };
        for (place, write) in [
            Write::Create { room: QUIET, entry: Entry(100) },
            Write::Add { room: QUIET, user: LEFT, entry: Entry(101) },
            Write::Remove { room: QUIET, user: LEFT, entry: Entry(102) },
        ]
        .into_iter()
        .enumerate()
        {
            asks(OWNER, write);
            room.log.push(Entry(100 + place as u64));
        }
        for message in [1, 2, 3].map(Message) {
            asks(OWNER, Write::Publish { room: QUIET, message });
            room.messages.push(message);
        }
        asks(OWNER, Write::Spend { nonce: Nonce(1000) });
        self.rooms.insert(QUIET, room);
        self.made = 1000;
    }

    fn take(&mut self, turn: Turn) {
        self.now += STEP;
        self.made += 1;
        let (by, user, room) = (User(turn.by), User(turn.user), Room(turn.room));
        let entry = Entry(self.made);
        let (write, is_allowed) = match turn.what {
            0 => (
                Write::Create { room, entry },
                !self.rooms.contains_key(&room) && !self.revoked.contains(&by),
            ),
            1 => (Write::Add { room, user, entry }, self.is_member(by, room) && !self.is_member(user, room)),
            2 => {
                (Write::Remove { room, user, entry }, self.is_member(by, room) && self.is_member(user, room))
            }
            3 => {
                let may = self.is_member(by, room) || self.is_lagging(by, room);
                (Write::Publish { room, message: Message(self.made) }, may)
            }
            4 => {
                let nonce = Nonce(u64::from(turn.luck % 8));
                (Write::Spend { nonce }, !self.revoked.contains(&by) && !self.spent.contains(&(by, nonce)))
            }
            // Rarely, or soon nobody would be left.
            5 if turn.luck.is_multiple_of(8) => {
                (Write::Revoke { user }, !self.revoked.contains(&by) && by != user)
            }
            _ => return self.read(turn),
        };
        // A third is never heard of, and of that a half never happens.
        let is_heard = !turn.luck.is_multiple_of(3);
        let happens = is_allowed && (is_heard || turn.luck.is_multiple_of(2));
        let outcome = match (is_heard, is_allowed) {
            (false, _) => Outcome::Unknown,
            (true, false) => Outcome::Refused,
            (true, true) if matches!(write, Write::Remove { .. }) && turn.luck.is_multiple_of(4) => {
                Outcome::Pending
            }
            (true, true) => Outcome::Acknowledged,
        };
        self.note(by, write, turn.lags, turn.node, outcome);
        if happens {
            self.apply(by, write, outcome, turn.lags.1);
        }
    }

    fn apply(&mut self, by: User, write: Write, outcome: Outcome, lag: u64) {
        let now = self.now;
        match write {
            Write::Create { room, entry } => {
                let room = self.rooms.entry(room).or_default();
                room.members.insert(by);
                room.log.push(entry);
            }
            Write::Add { room, user, entry } => {
                let room = self.rooms.entry(room).or_default();
                room.members.insert(user);
                room.log.push(entry);
            }
            Write::Remove { room, user, entry } => {
                let room = self.rooms.entry(room).or_default();
                room.members.remove(&user);
                room.log.push(entry);
                if outcome == Outcome::Pending {
                    let until = now + lag + u64::try_from(STALENESS.as_millis()).unwrap();
                    room.lagging.insert(user, until);
                }
            }
            Write::Publish { room, message } => self.deliver(room, message),
            Write::Spend { nonce } => {
                self.spent.insert((by, nonce));
            }
            Write::Revoke { user } => {
                self.revoked.insert(user);
            }
        }
    }

    fn deliver(&mut self, room: Room, message: Message) {
        let Some(kept) = self.rooms.get_mut(&room) else { return };
        kept.messages.push(message);
        for &user in kept.members.difference(&self.revoked) {
            let at = moment(self.now + 1);
            self.record.received.push(Received { user, room, message, at });
        }
    }

    /// Somebody reads a room's log and history, if they may.
    fn read(&mut self, turn: Turn) {
        let (by, room) = (User(turn.by), Room(turn.room));
        if !self.is_member(by, room) {
            return;
        }
        let at = moment(self.now);
        let Some(kept) = self.rooms.get(&room) else { return };
        let skipped = usize::from(turn.luck) % kept.log.len().max(1);
        let entries = kept.log[skipped..].to_vec();
        self.record.logs.push(SeenLog { node: Node(turn.node), room, skipped, entries });
        let received = kept.messages.iter().map(|&message| Received { user: by, room, message, at });
        self.record.received.extend(received);
    }

    fn is_member(&self, user: User, room: Room) -> bool {
        !self.revoked.contains(&user)
            && self.rooms.get(&room).is_some_and(|room| room.members.contains(&user))
    }

    fn is_lagging(&self, user: User, room: Room) -> bool {
        let until = self.rooms.get(&room).and_then(|room| room.lagging.get(&user));
        !self.revoked.contains(&user) && until.is_some_and(|until| self.now <= *until)
    }

    fn note(&mut self, by: User, write: Write, lags: (u64, u64), node: usize, outcome: Outcome) {
        let began = moment(self.now - lags.0);
        let ended = moment(self.now + lags.1);
        self.record.operations.push(Operation { by, node: Node(node), write, began, ended, outcome });
    }

    fn into_world(mut self) -> World {
        self.record.ended = moment(self.now + 2 * LAG + u64::try_from(STALENESS.as_millis()).unwrap());
        let snapshot = |node| Snapshot {
            node: Node(node),
            logs: self.rooms.iter().map(|(room, kept)| (*room, kept.log.clone())).collect(),
            messages: self.rooms.iter().map(|(room, kept)| (*room, kept.messages.clone())).collect(),
        };
        let snapshots = (0..NODES).map(snapshot).collect();
        World { record: self.record, snapshots }
    }
}

fn moment(ms: u64) -> Moment {
    Moment(Duration::from_millis(ms))
}
