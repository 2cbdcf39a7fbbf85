//! Bytes that flip, and files that are cut or gone, at rest.
//!
//! Whatever happens to one file: the store opens, never serves a wrong byte, still has what was not damaged, says that
//! something was, and takes new messages.

use super::*;
use crate::jetstream::store::{
    conformance::{of_subject, states},
    only,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// One damage takes at most a block of a table with it, a batch of a journal, or a value.
const MAX_LOST: usize = 60;
const STREAMS: [StreamId; 2] = [ONE, TWO];

/// Copies a directory.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            // Journals are mostly room for more.
            let bytes = fs::read(&path).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            fs::write(&copied, &bytes[..used]).unwrap();
            fs::File::options().write(true).open(&copied).unwrap().set_len(bytes.len() as u64).unwrap();
        }
    }
}

/// A store with something of everything, and what is in it.
struct Template {
    directory: TempDir,
    messages: BTreeMap<(StreamId, Seq), Record>,
    deleted: Vec<(StreamId, Seq)>,
}

fn subject(seq: Seq) -> &'static str {
    ["a", "a.b", "c"][(seq % 3) as usize]
}

fn payload(seq: Seq) -> Vec<u8> {
    // Some are long enough for a value log.
    let length = if seq.is_multiple_of(17) { 5000 } else { 100 + seq % 50 };
    (0..length).map(|at| (seq * 31 + at * 7) as u8).collect()
}

impl Template {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut template = Self { directory, messages: BTreeMap::new(), deleted: Vec::new() };
        let store = open(template.directory.path());
        // Twice to tables, then to a journal.
        for part in 0..3 {
            for step in 0..30 {
                let mut changes = Vec::new();
                for stream in STREAMS {
                    for seq in part * 90 + step * 3 + 1..=part * 90 + step * 3 + 3 {
                        changes.push(put(stream, seq, subject(seq), &payload(seq)));
                        template.messages.insert((stream, seq), record(subject(seq), seq, &payload(seq)));
                    }
                    changes.push(set(stream, b"k", b"value"));
                }
                store.apply(&changes).unwrap();
            }
            for seq in [part * 90 + 10, part * 90 + 11] {
                store.apply(&[remove(ONE, seq, subject(seq))]).unwrap();
                template.messages.remove(&(ONE, seq));
                template.deleted.push((ONE, seq));
            }
            store.sync().unwrap();
            if part < 2 {
                store.flush();
            }
        }
        drop(store);
        // Once more, so that the journal has the length of what is in it.
        drop(open(template.directory.path()));
        template
    }

    /// Opens a damaged copy and looks at everything in it.
    fn check(&self, directory: &Path, what: &str) {
        let store = open(directory);
        let found = store.streams().unwrap();
        let mut missing = Vec::new();
        for (&(stream, seq), expected) in &self.messages {
            match store.get(stream, seq) {
                Ok(Some(record)) => assert!(record == *expected, "{what}: a wrong byte in message {seq}"),
                Ok(None) => {
                    let told = found.iter().find(|found| found.stream == stream);
                    let told = told.and_then(|found| found.lost.clone());
                    assert!(told.is_some_and(|lost| lost.contains(&seq)), "{what}: nobody tells of {seq}");
                    missing.push((stream, seq));
                }
                Err(StoreError::Damaged { .. }) => missing.push((stream, seq)),
                Err(error) => panic!("{what}: {error}"),
            }
        }
        let health = store.health();
        // A block that cannot be read stands before others, until it is repaired.
        let is_to_repair = |problem: &String| problem.contains("something damaged was read");
        assert!(
            missing.len() <= MAX_LOST || health.problems.iter().any(is_to_repair),
            "{what}: {} messages are gone",
            missing.len()
        );
        self.check_scans(&store, &missing, what);
        for stream in STREAMS {
            assert_eq!(states(&store, stream, b""), [(b"k".to_vec(), "value".into())], "{what}");
        }
        let health = store.health();
        let is_told = !health.problems.is_empty() && found.iter().all(|found| found.recount)
            || health.problems.iter().any(|problem| problem.contains("something damaged was read"));
        assert!(missing.is_empty() || is_told, "{what}: {} are missing, {health:?}", missing.len());
        for &(stream, seq) in &self.deleted {
            let came_back = store.get(stream, seq).unwrap_or_default();
            assert!(came_back.is_none() || is_told, "{what}: message {seq} came back");
        }
        assert!(health.writable, "{what}");
        self.go_on(store, directory, what);
    }

    fn check_scans(&self, store: &FjallStore, missing: &[(StreamId, Seq)], what: &str) {
        for stream in STREAMS {
            for name in ["a", "a.b", "c"] {
                let is_there =
                    |seq: &Seq| subject(*seq) == name && self.messages.contains_key(&(stream, *seq));
                let there: Vec<_> = (1..=270).filter(is_there).collect();
                let mut found = of_subject(store, stream, name, 1..=270);
                assert!(found.is_sorted());
                // Of those that cannot be read some are in the index.
                found.retain(|seq| is_there(seq) && !missing.contains(&(stream, *seq)));
                let expected: Vec<_> =
                    there.into_iter().filter(|seq| !missing.contains(&(stream, *seq))).collect();
                assert_eq!(found, expected, "{what}");
                let last = store.last_of_subject(stream, name, 1..=270).unwrap();
                assert!(last >= expected.last().copied(), "{what}");
            }
            let mut next = 1;
            store
                .scan(stream, 1..=270, &mut |seq, record| {
                    assert!(seq >= next, "{what}: message {seq} after {next}");
                    next = seq + 1;
                    match record {
                        Ok(record) => {
                            assert!(!missing.contains(&(stream, seq)), "{what}");
                            let expected = super::record(subject(seq), seq, &payload(seq));
                            assert!(record == expected, "{what}: a wrong byte in message {seq}");
                        }
                        Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error}"),
                    }
                    ControlFlow::Continue(())
                })
                .unwrap();
            let last = (1..=270).rev().find(|seq| !missing.contains(&(stream, *seq)));
            assert!(next > last.unwrap(), "{what}: the scan ended early, before {next}");
        }
    }

    /// New messages, and another start.
    fn go_on(&self, store: FjallStore, directory: &Path, what: &str) {
        for seq in 300..310 {
            store.apply(&[put(ONE, seq, "new", b"x")]).unwrap();
        }
        store.sync().unwrap();
        drop(store);
        let store = open(directory);
        store.streams().unwrap();
        for seq in 300..310 {
            assert_eq!(store.get(ONE, seq).unwrap(), Some(record("new", seq, b"x")), "{what}");
        }
        assert_eq!(of_subject(&store, ONE, "new", 0..=400), (300..310).collect::<Vec<_>>(), "{what}");
        let mut readable = 0;
        for (&(stream, seq), expected) in &self.messages {
            if let Ok(Some(record)) = store.get(stream, seq) {
                assert!(record == *expected, "{what}: a wrong byte in message {seq}");
                readable += 1;
            }
        }
        assert!(readable + MAX_LOST >= self.messages.len(), "{what}: only {readable} are left");
        // Whoever applies something has taken notice of what was found.
        store.apply(&[set(ONE, b"k", b"value")]).unwrap();
        store.sync().unwrap();
        drop(store);
        let store = open(directory);
        for found in store.streams().unwrap() {
            assert_eq!((found.lost, found.recount), (None, false), "{what}");
        }
    }
}

/// Does something to each file of a copy, in turn.
fn with_each_file(mut damage: impl FnMut(&mut StdRng, &Path) -> Option<String>) {
    let template = Template::new();
    let rounds = if std::env::var_os("UNIBUS_LONG").is_some() { 40 } else { 1 };
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    for file in files(template.directory.path()) {
        let name = file.strip_prefix(template.directory.path()).unwrap();
        if ["LOCK", "lock"].iter().any(|lock| name.ends_with(lock)) {
            continue;
        }
        for _ in 0..rounds {
            let directory = tempfile::tempdir().unwrap();
            copy(template.directory.path(), directory.path());
            let Some(what) = damage(&mut random, &directory.path().join(name)) else { continue };
            template.check(directory.path(), &format!("{}: {what} (seed {seed})", name.display()));
        }
    }
}

#[test]
fn flipped_bits() {
    with_each_file(|random, path| {
        let mut bytes = fs::read(path).unwrap();
        if bytes.is_empty() {
            return None;
        }
        let (at, bit) = (random.random_range(0..bytes.len()), random.random_range(0..8));
        bytes[at] ^= 1 << bit;
        fs::write(path, bytes).unwrap();
        Some(format!("bit {bit} of byte {at}"))
    });
}

#[test]
fn overwritten_ranges() {
    with_each_file(|random, path| {
        let mut bytes = fs::read(path).unwrap();
        if bytes.is_empty() {
            return None;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..600)).min(bytes.len());
        let with_zeros = random.random();
        bytes[at..end].iter_mut().for_each(|byte| *byte = if with_zeros { 0 } else { random.random() });
        fs::write(path, bytes).unwrap();
        Some(format!("bytes {at} to {end}"))
    });
}

/// No index lists them; the entries of their subjects name them.
#[test]
fn messages_that_are_not_listed_are_missed_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let name = |seq: Seq| format!("s.{seq}");
    for seq in 1..=9 {
        let record = record(&name(seq), seq, b"x");
        let value = only::value(seq);
        store
            .apply(&[
                Change::Put { stream: ONE, seq, record, listed: false },
                Change::SetState { stream: ONE, key: only::key(&name(seq)), value },
            ])
            .unwrap();
    }
    store.apply(&[Change::Remove { stream: ONE, seq: 5, subject: name(5).into(), listed: false }]).unwrap();
    store.flush();
    drop(store);
    let database = directory.path().join("db");
    for table in tables::list(&inspect::keyspace_directory(&database, engine::MESSAGES)).unwrap() {
        fs::write(table, b"").unwrap();
    }
    for journal in journal::list(&database).unwrap() {
        fs::File::options().write(true).open(journal).unwrap().set_len(0).unwrap();
    }
    let store = open(directory.path());
    let found = store.streams().unwrap().remove(0);
    assert_eq!((found.stream, found.lost, found.recount), (ONE, Some(1..=9), true));
}
