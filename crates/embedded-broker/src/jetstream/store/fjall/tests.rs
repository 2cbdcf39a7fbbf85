//! What a store does when the disk, a file or the engine fails.

use super::*;
use crate::jetstream::store::conformance::{ONE, TWO, no_limits, put, record, remove, set};
use std::{fs, path::PathBuf};

mod crash;
mod damage;
mod disk_full;
mod failing_engine;

impl FjallStore {
    /// Writes tables of all that is in memory.
    fn flush(&self) {
        let engine = self.shared.engine.read_recursive();
        let engine = engine.as_ref().unwrap();
        for keyspace in [&engine.messages, &engine.subjects, &engine.state] {
            keyspace.rotate_memtable_and_wait().unwrap();
        }
    }
}

/// A program that a test starts, and waits for.
#[expect(clippy::disallowed_methods, reason = "the one place; whoever starts a child waits for it")]
fn command(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    std::process::Command::new(program)
}

fn open(directory: &Path) -> FjallStore {
    FjallStore::open(directory, no_limits()).unwrap()
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_second_opener_is_told_that_there_is_a_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let error = FjallStore::open(directory.path(), no_limits()).err().unwrap();
    assert!(matches!(error, OpenError::Layout(layout::LayoutError::Locked(_))), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(store);
    open(directory.path());
}

#[test]
fn only_the_owner_may_look_into_the_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let store = open(&directory);
    store.apply(&[put(ONE, 1, "s", b"x")]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
}

#[test]
fn a_version_from_the_future_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let salt = record::Salt([7; 8]);
    fs::write(directory.path().join("FORMAT"), layout::format_text(3, salt)).unwrap();
    let error = FjallStore::open(directory.path(), no_limits()).err().unwrap();
    assert!(error.to_string().contains("format 3; this one reads 1 and 2"), "{error}");
}

#[test]
fn a_store_of_the_version_before_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("FORMAT");
    let store = open(directory.path());
    store.apply(&[put(ONE, 1, "s", b"x")]).unwrap();
    drop(store);
    let current = fs::read(&path).unwrap();
    let salt = layout::parse_format(&current).unwrap().1;
    fs::write(&path, layout::format_text(1, salt)).unwrap();
    let store = open(directory.path());
    assert_eq!(store.health().problems, Vec::<String>::new());
    assert_eq!(store.get(ONE, 1).unwrap(), Some(record("s", 1, b"x")));
    assert_eq!(
        fs::read(&path).unwrap(),
        current,
        "the version before would not understand what is written now"
    );
}

#[test]
fn a_store_that_was_not_closed_has_all_that_was_applied() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for seq in 1..=500 {
        store.apply(&[put(ONE, seq, "s", b"x"), set(ONE, b"k", b"v")]).unwrap();
    }
    // What a process leaves behind that is killed here.
    damage::copy(directory.path(), copy.path());
    drop(store);
    let store = open(copy.path());
    assert_eq!(store.health().problems, Vec::<String>::new());
    for seq in 1..=500 {
        assert_eq!(store.get(ONE, seq).unwrap(), Some(record("s", seq, b"x")));
    }
}
