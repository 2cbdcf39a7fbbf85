//! Clocks of nodes, each of which can be wrong.
//!
//! The daemon asks the C library for the time, and libfaketime, loaded before it, answers with the time of the machine and what
//! a file says has to be added. What it measures by, which is the monotonic clock, is left alone, as it is when the clock of a
//! machine is set. nats-server is a static program that nothing can be loaded into: its clock stays right.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// Where the test is told of libfaketime.
const LIBRARY: &str = "UNIBUS_FAULTS_FAKETIME";

/// What three nodes are preloaded with, and how wrong each clock is.
pub(crate) struct Clocks {
    library: PathBuf,
    directory: TempDir,
    wrong_by: [AtomicI64; 3],
}

impl Clocks {
    /// All of them right. `None` without libfaketime.
    pub(crate) fn found() -> Option<Self> {
        let library = std::env::var_os(LIBRARY).map(PathBuf::from)?;
        let directory = TempDir::with_prefix("unibus-clocks-").unwrap();
        let clocks = Self { library, directory, wrong_by: Default::default() };
        (0..3).for_each(|node| clocks.set(node, 0));
        Some(clocks)
    }

    /// From now on a node's clock is wrong by so many seconds. It may take two seconds until the node notices.
    pub(crate) fn set(&self, node: usize, seconds: i64) {
        // As a whole: somebody may be reading it.
        let (path, new) = (self.file(node), self.directory.path().join("new"));
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(&new, path).unwrap();
        self.wrong_by[node].store(seconds, Ordering::Relaxed);
    }

    /// By how many seconds a node's clock is wrong.
    pub(crate) fn wrong_by(&self, node: usize) -> i64 {
        self.wrong_by[node].load(Ordering::Relaxed)
    }

    /// What a node is started with.
    pub(crate) fn variables(&self, node: usize) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file(node).display().to_string()),
            // The file is read again in every second in which somebody asks for the time.
            ("FAKETIME_CACHE_DURATION", "0".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    fn file(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}"))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
