//! What was acknowledged is on every node, once, and in one order; what was refused is nowhere.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::faults::record::{Entry, Message, Outcome, Record, Room, Snapshot, Write};

/// What is known about something after all attempts at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Every attempt was refused.
    Refused,
    /// It may be there.
    Open,
    /// It has to be there.
    Done,
}

/// What clients know about what they wrote.
#[derive(Default)]
struct Fates {
    entries: BTreeMap<(Room, Entry), Fate>,
    messages: BTreeMap<(Room, Message), Fate>,
}

pub(super) fn check(record: &Record, snapshots: &[Snapshot]) -> Vec<Violation> {
    let fates = Fates::of(record);
    let mut violations = Vec::new();
    for snapshot in snapshots {
        entries(&fates, snapshot, &mut violations);
        messages(&fates, snapshot, &mut violations);
    }
    for pair in snapshots.windows(2) {
        let [one, other] = pair else { continue };
        let rooms: BTreeSet<Room> = one.messages.keys().chain(other.messages.keys()).copied().collect();
        let differs = |room: &Room| kept_in(one, *room) != kept_in(other, *room);
        let different = |room| Violation::Different { one: one.node, other: other.node, room };
        violations.extend(rooms.into_iter().filter(differs).map(different));
    }
    violations
}

fn entries(fates: &Fates, snapshot: &Snapshot, violations: &mut Vec<Violation>) {
    let node = snapshot.node;
    for (&(room, entry), fate) in &fates.entries {
        let is_there = snapshot.logs.get(&room).is_some_and(|log| log.contains(&entry));
        match fate {
            Fate::Done if !is_there => violations.push(Violation::LostEntry { node, room, entry }),
            Fate::Refused if is_there => violations.push(Violation::RefusedEntry { node, room, entry }),
            _ => {}
        }
    }
}

fn messages(fates: &Fates, snapshot: &Snapshot, violations: &mut Vec<Violation>) {
    let node = snapshot.node;
    let mut kept = BTreeSet::new();
    for (&room, messages) in &snapshot.messages {
        for &message in messages {
            if !kept.insert((room, message)) {
                violations.push(Violation::Repeated { node, room, message });
            }
            if fates.messages.get(&(room, message)).is_none_or(|fate| *fate == Fate::Refused) {
                violations.push(Violation::RefusedMessage { node, room, message });
            }
        }
    }
    let lost = fates.messages.iter().filter(|(key, fate)| **fate == Fate::Done && !kept.contains(key));
    violations.extend(lost.map(|(&(room, message), _)| Violation::LostMessage { node, room, message }));
}

fn kept_in(snapshot: &Snapshot, room: Room) -> &[Message] {
    snapshot.messages.get(&room).map_or(&[], Vec::as_slice)
}

impl Fates {
    fn of(record: &Record) -> Self {
        let mut fates = Self::default();
        for operation in &record.operations {
            let fate = match operation.outcome {
                Outcome::Acknowledged | Outcome::Pending => Fate::Done,
                Outcome::Unknown => Fate::Open,
                Outcome::Refused => Fate::Refused,
            };
            match operation.write {
                Write::Create { room, entry }
                | Write::Add { room, entry, .. }
                | Write::Remove { room, entry, .. } => raise(&mut fates.entries, (room, entry), fate),
                Write::Publish { room, message } => raise(&mut fates.messages, (room, message), fate),
                Write::Spend { .. } | Write::Revoke { .. } => {}
            }
        }
        fates
    }
}

/// Of several attempts the one that came furthest counts.
fn raise<K: Ord>(fates: &mut BTreeMap<K, Fate>, key: K, fate: Fate) {
    let known = fates.entry(key).or_insert(fate);
    *known = fate.max(*known);
}
