//! The engine gives up while it is in use.

use super::*;
use std::time::{Duration, Instant};

/// Flips a bit in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[200] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_compaction_cannot_read_is_salvaged_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    // Overlapping tables, so that they have to be merged.
    for part in 0..3 {
        let changes: Vec<_> = (0..100).map(|step| put(ONE, step * 10 + part + 1, "s", &[7; 200])).collect();
        store.apply(&changes).unwrap();
        store.sync().unwrap();
        store.flush();
    }
    let tables = files(&directory.path().join("db/keyspaces/1/tables"));
    damage(&tables[0]);

    // More of them, until the engine compacts, fails, and is found to have failed.
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut seq = 10_000;
    let mut applied = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "compaction reads a damaged table and does not fail");
        seq += 1;
        let outcome = store.apply(&[put(ONE, seq, "s", b"new"), put(ONE, 5, "s", b"again")]);
        if outcome.and_then(|()| store.sync()).is_err() {
            break;
        }
        applied.push(seq);
        let engine = store.shared.engine.read_recursive();
        engine.as_ref().unwrap().messages.rotate_memtable().unwrap();
    }
    assert!(store.health().problems.iter().any(|problem| problem.contains("the database was damaged")));
    assert!(store.health().writable);
    store.apply(&[put(ONE, 20_000, "s", b"later")]).unwrap();
    store.sync().unwrap();
    for seq in applied {
        assert_eq!(store.get(ONE, seq).unwrap(), Some(record("s", seq, b"new")));
    }
    let readable = (1..=1000).filter(|seq| store.get(ONE, *seq).unwrap().is_some()).count();
    // The journals have most of what was damaged, if not all.
    assert!(readable >= 240, "{readable} of 300 messages are left");
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.get(ONE, 20_000).unwrap(), Some(record("s", 20_000, b"later")));
}
