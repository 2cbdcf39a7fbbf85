//! Random honest logs are accepted; one thing changed in one of them is answered with the very rule it
//! breaks.

use std::collections::BTreeMap;

use busauth::CertificateError;
use proptest::{prelude::*, sample::Index};
use room_protocol::{
    Epoch, LogError, Op, RoomLog, RoomRole, RoomState, SignedStatement, Statement, Violation,
};

use crate::support::{Kind, PLAIN, PRIVATE, Room, SHARED, create_op, handle, key, person};

/// People who may come and go; person `STRANGER` never does.
const PEOPLE: u16 = 6;
const STRANGER: u16 = 7;

/// What the log is about to say, in terms of the test's own, much simpler idea of a room.
#[derive(Clone, Debug)]
enum Act {
    Add(u16, RoomRole),
    SetRole(u16, RoomRole),
    Remove(u16),
    Leave,
    Rekey,
    Update,
}

/// The test's own idea of a room: who has which role.
#[derive(Clone)]
struct Model(BTreeMap<u16, RoomRole>);

impl Model {
    fn owners(&self) -> Vec<u16> {
        self.0.iter().filter(|(_, role)| **role == RoomRole::Owner).map(|(n, _)| *n).collect()
    }

    /// What somebody may do now: author and act.
    fn possible(&self, kind: Kind) -> Vec<(u16, Act)> {
        let mut possible = Vec::new();
        let owners = self.owners();
        let only_owner = |n: u16| owners == [n];
        for owner in &owners {
            for n in 0..PEOPLE {
                for role in [RoomRole::Reader, RoomRole::Writer, RoomRole::Owner] {
                    match self.0.get(&n) {
                        None => possible.push((*owner, Act::Add(n, role))),
                        Some(present) if *present != role && !only_owner(n) => {
                            possible.push((*owner, Act::SetRole(n, role)));
                        }
                        Some(_) => {}
                    }
                }
                if self.0.contains_key(&n) && n != *owner {
                    possible.push((*owner, Act::Remove(n)));
                }
            }
            possible.push((*owner, Act::Update));
            if kind != PLAIN {
                possible.push((*owner, Act::Rekey));
            }
        }
        possible.extend(self.0.keys().filter(|n| !only_owner(**n)).map(|n| (*n, Act::Leave)));
        possible
    }

    fn apply(&mut self, author: u16, act: &Act) {
        match act {
            Act::Add(n, role) | Act::SetRole(n, role) => {
                self.0.insert(*n, *role);
            }
            Act::Remove(n) => {
                self.0.remove(n);
            }
            Act::Leave => {
                self.0.remove(&author);
            }
            Act::Rekey | Act::Update => {}
        }
    }
}

fn op_of(room: &Room, author: u16, act: &Act) -> Op {
    match act {
        Act::Add(n, role) => room.add(*n, *role),
        Act::SetRole(n, role) => Room::set_role(*n, *role),
        Act::Remove(n) => room.remove(*n),
        Act::Leave => Room::leave(author),
        Act::Rekey => room.rekey(),
        Act::Update => Op::Update { name: "Renamed".parse().unwrap(), limits: *room.state().limits() },
    }
}

/// Builds a log by choosing among what is possible, and checks the state against the model after each entry.
fn random_log(kind: Kind, choices: &[Index]) -> RoomLog {
    let mut room = Room::new(kind);
    let mut model = Model(BTreeMap::from([(0, RoomRole::Owner)]));
    for choice in choices {
        let possible = model.possible(kind);
        let (author, act) = &possible[choice.index(possible.len())];
        room.say(*author, op_of(&room, *author, act));
        model.apply(*author, act);
        let state = room.state();
        let members: BTreeMap<_, _> = state.members().map(|member| (member.user, member.role)).collect();
        let expected: BTreeMap<_, _> = model.0.iter().map(|(n, role)| (person(*n).id(), *role)).collect();
        assert_eq!(members, expected);
    }
    room.log
}

/// One thing that can be wrong with an entry.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    OtherRoom,
    SkippedNumber,
    OtherPrevious,
    Backdated,
    StrangerSigns,
    NonOwnerSigns,
    EpochSkipped,
    EpochLeftOut,
    EpochTooMuch,
    AddedTwice,
    HandleTwice,
    KeysSwapped,
    SameRole,
    StrangerRemoved,
    LastOwnerLeaves,
    MadeAgain,
}

const MUTATIONS: [Mutation; 16] = [
    Mutation::OtherRoom,
    Mutation::SkippedNumber,
    Mutation::OtherPrevious,
    Mutation::Backdated,
    Mutation::StrangerSigns,
    Mutation::NonOwnerSigns,
    Mutation::EpochSkipped,
    Mutation::EpochLeftOut,
    Mutation::EpochTooMuch,
    Mutation::AddedTwice,
    Mutation::HandleTwice,
    Mutation::KeysSwapped,
    Mutation::SameRole,
    Mutation::StrangerRemoved,
    Mutation::LastOwnerLeaves,
    Mutation::MadeAgain,
];

/// The entry that comes after `before`, with one thing wrong, and the rule it breaks; `None` where this
/// cannot be wrong here.
fn mutated(
    before: &RoomState,
    entry: &SignedStatement,
    mutation: Mutation,
) -> Option<(SignedStatement, Violation)> {
    let statement = entry.statement().clone();
    let author = number_of(entry.author());
    let owner = number_of(before.members().find(|member| member.role == RoomRole::Owner)?.user);
    let member = before.members().last()?.clone();
    let by = |n: u16, op: Op| Statement { op, ..statement.clone() }.sign(&person(n));
    Some(match mutation {
        Mutation::OtherRoom => (
            Statement { room: Some("A".repeat(26).parse().unwrap()), ..statement }.sign(&person(author)),
            Violation::OtherRoom { expected: before.id() },
        ),
        Mutation::SkippedNumber => {
            let found = statement.seq + 1;
            let violation = Violation::WrongSeq { expected: statement.seq, found };
            (Statement { seq: found, ..statement }.sign(&person(author)), violation)
        }
        Mutation::OtherPrevious => (
            Statement { prev: Some(entry.hash()), ..statement }.sign(&person(author)),
            Violation::WrongPrevious { expected: before.head().hash },
        ),
        Mutation::Backdated => {
            let (previous, found) = (before.changed_at(), before.changed_at() - 1);
            (
                Statement { at: found, ..statement }.sign(&person(author)),
                Violation::BackInTime { previous, found },
            )
        }
        Mutation::StrangerSigns => {
            (statement.sign(&person(STRANGER)), Violation::NotAMember(person(STRANGER).id()))
        }
        Mutation::NonOwnerSigns => {
            let other = before.members().find(|member| member.role != RoomRole::Owner)?;
            let leaves = matches!(&statement.op, Op::Remove { user, .. } if *user == other.user);
            if leaves {
                return None;
            }
            (statement.sign(&person(number_of(other.user))), Violation::NotAnOwner(other.user))
        }
        Mutation::EpochSkipped => {
            let opened = *statement.op.epoch()?;
            let wrong = Epoch { n: opened.n + 1, ..opened };
            let violation = Violation::WrongEpoch { expected: opened.n, found: wrong.n };
            (by(author, with_epoch(statement.op.clone(), Some(wrong))?), violation)
        }
        Mutation::EpochLeftOut => {
            let expected = statement.op.epoch()?.n;
            (by(author, with_epoch(statement.op.clone(), None)?), Violation::EpochMissing { expected })
        }
        Mutation::EpochTooMuch => {
            let leaves = matches!(&statement.op, Op::Remove { user, .. } if *user == entry.author());
            let shared = matches!(&statement.op, Op::Add { .. }) && !before.add_opens_epoch();
            if !(leaves || shared || before.epoch().is_none()) {
                return None;
            }
            let n = before.next_epoch_number().unwrap_or(1);
            let epoch = key(n).open_epoch(&before.key_context(n), n);
            (by(author, with_epoch(statement.op.clone(), Some(epoch))?), Violation::EpochNotAllowed)
        }
        Mutation::AddedTwice => {
            let op = Op::add(&person(number_of(member.user)).card(None), handle(50), member.role, None);
            (by(owner, op), Violation::AlreadyMember(member.user))
        }
        Mutation::HandleTwice => {
            let op = Op::add(&person(STRANGER).card(None), member.handle.clone(), member.role, None);
            (by(owner, op), Violation::HandleTaken(member.handle))
        }
        Mutation::KeysSwapped => {
            let (user, handle) = (person(STRANGER), handle(50));
            let op = Op::Add {
                user: user.id(),
                handle,
                login: user.login_key(),
                exchange: person(owner).exchange_key(),
                certificates: user.certificates(),
                role: RoomRole::Reader,
                epoch: None,
            };
            (by(owner, op), Violation::BadCertificates { user: user.id(), cause: CertificateError::Exchange })
        }
        Mutation::SameRole => {
            let op = Op::SetRole { user: member.user, role: member.role };
            (by(owner, op), Violation::RoleUnchanged(member.user))
        }
        Mutation::StrangerRemoved => {
            (by(owner, Room::leave(STRANGER)), Violation::NoSuchMember(person(STRANGER).id()))
        }
        Mutation::LastOwnerLeaves => {
            if before.members().filter(|member| member.role == RoomRole::Owner).count() > 1 {
                return None;
            }
            (by(owner, Room::leave(owner)), Violation::LastOwner(person(owner).id()))
        }
        Mutation::MadeAgain => (by(author, create_op(PRIVATE)), Violation::SecondCreate),
    })
}

fn with_epoch(op: Op, epoch: Option<Epoch>) -> Option<Op> {
    match op {
        Op::Add { user, handle, login, exchange, certificates, role, epoch: _ } => {
            Some(Op::Add { user, handle, login, exchange, certificates, role, epoch })
        }
        Op::Remove { user, epoch: _ } => Some(Op::Remove { user, epoch }),
        Op::Rekey { .. } => epoch.map(|epoch| Op::Rekey { epoch }),
        _ => None,
    }
}

fn number_of(user: busauth::UserId) -> u16 {
    (0..=STRANGER).find(|n| person(*n).id() == user).unwrap()
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(PRIVATE), Just(SHARED), Just(PLAIN)]
}

fn choices(most: usize) -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 2..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_thing_wrong_is_one_violation(
        kind in kinds(),
        choices in choices(14),
        place in any::<Index>(),
        mutation in any::<Index>(),
    ) {
        let log = random_log(kind, &choices);
        let index = 1 + place.index(log.entries().len() - 1);
        let before = log.state_at(index as u64).unwrap();
        let first = mutation.index(MUTATIONS.len());
        let (entry, violation) = (0..MUTATIONS.len())
            .find_map(|n| mutated(&before, &log.entries()[index], MUTATIONS[(first + n) % MUTATIONS.len()]))
            .unwrap();
        let entries = log.entries()[..index].iter().cloned().chain([entry]);
        let expected = LogError::Violation { seq: index as u64 + 1, violation };
        prop_assert_eq!(RoomLog::verify(entries).unwrap_err(), expected);
    }

    #[test]
    fn entries_cannot_be_dropped_repeated_or_swapped(kind in kinds(), choices in choices(10), place in any::<Index>()) {
        let log = random_log(kind, &choices);
        let entries = log.entries().to_vec();
        let index = place.index(entries.len() - 1);
        let seq = index as u64 + 1;
        let refusal = |entries: Vec<SignedStatement>| match RoomLog::verify(entries).unwrap_err() {
            LogError::Violation { seq, violation } => (seq, violation),
            other => panic!("{other}"),
        };

        let mut dropped = entries.clone();
        dropped.remove(index);
        let violation =
            if index == 0 { Violation::NotACreate } else { Violation::WrongSeq { expected: seq, found: seq + 1 } };
        prop_assert_eq!(refusal(dropped), (seq, violation));

        let mut repeated = entries.clone();
        repeated.insert(index, entries[index].clone());
        let violation =
            if index == 0 { Violation::SecondCreate } else { Violation::WrongSeq { expected: seq + 1, found: seq } };
        prop_assert_eq!(refusal(repeated), (seq + 1, violation));

        let mut swapped = entries;
        swapped.swap(index, index + 1);
        let violation =
            if index == 0 { Violation::NotACreate } else { Violation::WrongSeq { expected: seq, found: seq + 1 } };
        prop_assert_eq!(refusal(swapped), (seq, violation));
    }

    /// A state of the past is the state that the log's beginning leads to.
    #[test]
    fn the_past_can_be_asked_for(kind in kinds(), choices in choices(80), place in any::<Index>()) {
        let log = random_log(kind, &choices);
        let length = 1 + place.index(log.entries().len());
        let beginning = RoomLog::verify(log.entries()[..length].iter().cloned()).unwrap();
        let past = log.state_at(length as u64);
        prop_assert_eq!(past.as_ref(), Some(beginning.state()));
        prop_assert_eq!(log.hash_at(length as u64), Some(beginning.head().hash));
        prop_assert_eq!(log.state_at(log.head().seq + 1), None);
        prop_assert_eq!(log.state_at(0), None);
        for n in 1..=beginning.state().epoch().map_or(0, |epoch| epoch.n) {
            prop_assert_eq!(log.epoch(n), beginning.epoch(n));
        }
    }
}
