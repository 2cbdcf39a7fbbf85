//! People, rooms and randomness that are the same in every run.

use std::convert::Infallible;

use busauth::{Handle, Identity};
use rand_core::{TryCryptoRng, TryRng};
use room_protocol::{
    Encryption, EpochKey, FirstOwner, History, KeyContext, Op, RoomId, RoomLimits, RoomLog, RoomRole,
    RoomState, SignedStatement, Statement, Violation,
};
use sha2::{Digest as _, Sha256};

/// The time at which every test room is made: 2026-01-01T00:00:00Z in Unix milliseconds.
pub(crate) const START: u64 = 1_767_225_600_000;

/// Randomness that repeats: SHA-256 of a counter. For tests and vectors only.
pub(crate) struct Repeating {
    seed: u64,
    blocks: u64,
}

impl Repeating {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, blocks: 0 }
    }
}

impl TryRng for Repeating {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        for chunk in destination.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(b"repeating")
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.blocks.to_be_bytes())
                .finalize();
            self.blocks += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Repeating {}

/// The seeds of person number `n`: 32 bytes each, in the order signing, login, exchange.
pub(crate) fn seeds(n: u16) -> [[u8; 32]; 3] {
    ["signing", "login", "exchange"]
        .map(|key| Sha256::new().chain_update(key).chain_update(n.to_be_bytes()).finalize().into())
}

/// Person number `n`.
pub(crate) fn person(n: u16) -> Identity {
    let [signing, login, exchange] = seeds(n);
    Identity::from_seeds(signing, login, exchange)
}

/// What rooms call person number `n`.
pub(crate) fn handle(n: u16) -> Handle {
    match n {
        0 => "alice".to_owned(),
        1 => "bob".to_owned(),
        2 => "carol".to_owned(),
        n => format!("person-{n}"),
    }
    .parse()
    .unwrap()
}

/// Key number `n`.
pub(crate) fn key(n: u64) -> EpochKey {
    EpochKey::generate(&mut Repeating::new(1_000 + n))
}

/// What kind of room a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) encryption: Encryption,
    pub(crate) history: History,
}

/// Encrypted, newcomers read nothing from before.
pub(crate) const PRIVATE: Kind = Kind { encryption: Encryption::E2e, history: History::None };
/// Encrypted, newcomers read everything.
pub(crate) const SHARED: Kind = Kind { encryption: Encryption::E2e, history: History::Shared };
/// Not encrypted.
pub(crate) const PLAIN: Kind = Kind { encryption: Encryption::None, history: History::None };

/// The `create` operation of person 0 for a room on `lab.sensors`, with epoch key 1.
pub(crate) fn create_op(kind: Kind) -> Op {
    let author = person(0);
    let context = KeyContext::Create { subject: "lab.sensors".parse().unwrap(), author: author.id() };
    Op::Create {
        subject: "lab.sensors".parse().unwrap(),
        name: "Lab sensors".parse().unwrap(),
        encryption: kind.encryption,
        history: kind.history,
        limits: RoomLimits::default(),
        owner: FirstOwner::new(&author, handle(0)),
        epoch: (kind.encryption == Encryption::E2e).then(|| key(1).open_epoch(&context, 1)),
    }
}

/// A room made by person 0, and its log so far.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) log: RoomLog,
}

impl Room {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with(create_op(kind))
    }

    pub(crate) fn with(create: Op) -> Self {
        Self { log: RoomLog::verify([Statement::first(create, START).sign(&person(0))]).unwrap() }
    }

    /// A room of person 0 (owner), 1 (writer) and 2 (reader).
    pub(crate) fn of_three(kind: Kind) -> Self {
        let mut room = Self::new(kind);
        room.say(0, room.add(1, RoomRole::Writer));
        room.say(0, room.add(2, RoomRole::Reader));
        room
    }

    pub(crate) fn state(&self) -> &RoomState {
        self.log.state()
    }

    pub(crate) fn id(&self) -> RoomId {
        self.state().id()
    }

    /// The next epoch of an encrypted room, with the key of that number.
    pub(crate) fn next_epoch(&self) -> Option<room_protocol::Epoch> {
        let n = self.state().next_epoch_number()?;
        Some(key(n).open_epoch(&self.state().key_context(n), n))
    }

    pub(crate) fn add(&self, n: u16, role: RoomRole) -> Op {
        let epoch = self.next_epoch().filter(|_| self.state().add_opens_epoch());
        Op::add(&person(n).card(None), handle(n), role, epoch)
    }

    pub(crate) fn remove(&self, n: u16) -> Op {
        Op::Remove { user: person(n).id(), epoch: self.next_epoch() }
    }

    pub(crate) fn leave(n: u16) -> Op {
        Op::Remove { user: person(n).id(), epoch: None }
    }

    pub(crate) fn rekey(&self) -> Op {
        Op::Rekey { epoch: self.next_epoch().unwrap() }
    }

    pub(crate) fn set_role(n: u16, role: RoomRole) -> Op {
        Op::SetRole { user: person(n).id(), role }
    }

    /// The entry with which person `author` does `op` next, one second after the last.
    pub(crate) fn entry(&self, author: u16, op: Op) -> SignedStatement {
        self.state().next_statement(op, self.state().changed_at() + 1_000).sign(&person(author))
    }

    /// Appends what person `author` says; it has to keep the rules. Learned of long ago.
    pub(crate) fn say(&mut self, author: u16, op: Op) {
        self.say_at(author, op, 0);
    }

    /// Appends what person `author` says, learned of at `now`.
    pub(crate) fn say_at(&mut self, author: u16, op: Op, now: u64) {
        let entry = self.entry(author, op);
        self.log.extend(entry, now).unwrap();
    }

    /// The rule that `op` by person `author` would break.
    pub(crate) fn refusal(&self, author: u16, op: Op) -> Violation {
        self.state().apply(&self.entry(author, op)).unwrap_err()
    }
}
