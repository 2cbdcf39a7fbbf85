//! A disk that is full: a small file system of its own where that is permitted.

use super::*;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

/// A small file system in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where mounting is not permitted.
    fn new(size: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = run(command("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path()));
        if mounted {
            return Some(Self(directory));
        }
        println!("left out: mounting a file system is not permitted here");
        None
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("streams")
    }

    fn fill(&self, size: u64) {
        fs::write(self.0.path().join("other"), vec![1; size as usize]).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("other")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(command("umount").arg(self.0.path()));
    }
}

fn run(command: &mut std::process::Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// Publishes until it is refused. Tells the last sequence that was durable.
fn publish_until_refused(store: &FjallStore, first: Seq) -> (Seq, StoreError) {
    for seq in first.. {
        let outcome = store.apply(&[put(ONE, seq, "s", &vec![seq as u8; 256 * 1024])]);
        if let Err(error) = outcome.and_then(|()| store.sync()) {
            return (seq - 1, error);
        }
        assert!(seq < first + 10_000, "the disk is never full");
    }
    unreachable!()
}

fn assert_has(store: &FjallStore, last: Seq) {
    for seq in 1..=last {
        assert!(
            store.get(ONE, seq).unwrap() == Some(record("s", seq, &vec![seq as u8; 256 * 1024])),
            "{seq}"
        );
    }
}

#[test]
fn publishing_stops_before_the_end_of_the_disk_and_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::new(384 * MIB) else { return };
    disk.fill(100 * MIB);
    // What the engine has in memory when publishing stops still becomes tables, before the journal is given back: there
    // has to be room for that beside what deletes need.
    let limits =
        SpaceLimits { min_free: 96 * MIB, max_used: 100, enough: u64::MAX, gap: 2, reserve: 4 * MIB };
    let store = FjallStore::open(&disk.path(), limits).unwrap();
    let (last, error) = publish_until_refused(&store, 1);
    assert!(matches!(error, StoreError::Full), "{error}");
    assert!(last > 20);
    assert_has(&store, last);
    // What makes room is still taken, at the latest when the engine has written what it has at hand.
    let relief = [remove(ONE, last, "s"), set(ONE, b"k", b"v")];
    let given_up = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.apply(&relief) {
        assert!(matches!(error, StoreError::Full) && Instant::now() < given_up, "{error}");
        std::thread::yield_now();
    }
    store.sync().unwrap();
    // The engine may have made some room by itself meanwhile, and it is as if nothing had been.
    let health = store.health();
    assert_eq!(health.problems.len(), usize::from(!health.writable));

    disk.free();
    store.apply(&[put(ONE, last + 1, "s", &vec![(last + 1) as u8; 256 * 1024])]).unwrap();
    store.sync().unwrap();
    assert_eq!(store.health().problems, Vec::<String>::new());
    assert!(store.health().writable);
    assert_has(&store, last - 1);
}

#[test]
fn an_engine_that_ran_into_the_end_of_the_disk_is_opened_again_in_place() {
    let Some(disk) = SmallDisk::new(256 * MIB) else { return };
    disk.fill(100 * MIB);
    // Nobody looks at free space, as if others took it in between.
    let limits = SpaceLimits { min_free: 0, max_used: 100, enough: u64::MAX, gap: 0, reserve: 8 * MIB };
    let store = FjallStore::open(&disk.path(), limits).unwrap();
    let (mut last, error) = publish_until_refused(&store, 1);
    assert!(last > 20, "{last}, {error}");
    assert_has(&store, last);

    disk.free();
    // What failed may be there or not; its sequence is not used again.
    last += 1;
    let mut seq = last + 1;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let outcome = store.apply(&[put(ONE, seq, "s", b"later")]).and_then(|()| store.sync());
        match outcome {
            Ok(()) => break,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        seq += 1;
    }
    assert_has(&store, last - 1);
    drop(store);
    let store = open(&disk.path());
    assert_has(&store, last - 1);
    assert_eq!(store.get(ONE, seq).unwrap(), Some(record("s", seq, b"later")));
    for found in store.streams().unwrap() {
        assert_eq!(found.lost, None);
    }
}

#[test]
fn a_disk_that_counts_as_full_refuses_messages_only() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.apply(&[put(ONE, 1, "s", b"x")]).unwrap();
    store.set_limits(SpaceLimits { min_free: 0, max_used: 0, enough: u64::MAX, gap: 0, reserve: 0 });
    assert!(matches!(store.apply(&[put(ONE, 2, "s", b"x")]), Err(StoreError::Full)));
    assert!(!store.health().writable);
    store.apply(&[remove(ONE, 1, "s")]).unwrap();
    assert_eq!(store.get(ONE, 1).unwrap(), None);
    store.set_limits(no_limits());
    store.apply(&[put(ONE, 2, "s", b"x")]).unwrap();
    assert!(store.health().writable);
    assert_eq!(store.get(ONE, 2).unwrap(), Some(record("s", 2, b"x")));
}
