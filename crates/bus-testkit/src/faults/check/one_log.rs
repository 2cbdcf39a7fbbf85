//! A room's log has one history: whoever was shown a part of it was shown the same, and it is still there.

use std::collections::BTreeMap;

use super::Violation;
use crate::faults::record::{Entry, Record, Room, Snapshot};

pub(super) fn check(record: &Record, snapshots: &[Snapshot]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut shown: BTreeMap<(Room, usize), Entry> = BTreeMap::new();
    let whole = snapshots.iter().flat_map(|snapshot| &snapshot.logs).map(|(room, log)| (*room, 0, log));
    let seen = record.logs.iter().map(|log| (log.room, log.skipped, &log.entries));
    for (room, skipped, entries) in seen.chain(whole) {
        for (at, &entry) in entries.iter().enumerate().map(|(offset, entry)| (skipped + offset, entry)) {
            let one = *shown.entry((room, at)).or_insert(entry);
            if one != entry {
                violations.push(Violation::Fork { room, at, one, other: entry });
            }
        }
    }
    for snapshot in snapshots {
        let has = |room, at| snapshot.logs.get(&room).is_some_and(|log| log.len() > at);
        let vanished = shown.keys().filter(|(room, at)| !has(*room, *at));
        violations.extend(vanished.map(|&(room, at)| Violation::Vanished { node: snapshot.node, room, at }));
    }
    violations
}
