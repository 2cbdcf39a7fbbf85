//! A process that is killed in the middle of its uploads loses no blob that was acknowledged and leaves none half.
//!
//! The writing process is this test binary, started again to run [`the_process_that_is_killed`] alone; it prints a line
//! for each blob that was acknowledged.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use blobstore::{BlobStore as _, ReadRange};

use crate::support::{content, open, put, read, space, staged};

/// Names the directory to the process that is killed; it does nothing without.
const DIRECTORY: &str = "UNIBUS_TEST_CRASH_BLOBS";
/// Says how many rounds the process before has lived through, so that it stores something new.
const ROUND: &str = "UNIBUS_TEST_CRASH_ROUND";
const ROUNDS: usize = 10;
const LONG_ROUNDS: usize = 300;

/// Starts the process, lets it write for `life`, kills it (SIGKILL) and answers what it said was done.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts a child; it is killed and reaped below"
)]
fn write_until_killed(directory: &Path, round: usize, life: Duration) -> Vec<String> {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "crash::the_process_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut killed_at = None;
    let mut acknowledged = Vec::new();
    for line in lines {
        if line.ends_with("opened") {
            killed_at = Some(Instant::now() + life);
        }
        acknowledged.extend(line.strip_prefix("done ").map(str::to_owned));
        // The process prints all the time, so that this line is reached all the time.
        if killed_at.is_some_and(|at| Instant::now() >= at) {
            child.kill().expect("the process is killed");
        }
    }
    child.wait().expect("the process is reaped");
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_blobs_survive_a_kill_and_none_is_torn() {
    let directory = crate::support::directory();
    let rounds = if env::var_os("UNIBUS_LONG").is_some() { LONG_ROUNDS } else { ROUNDS };
    let mut seen = 0;
    for round in 0..rounds {
        let path = directory.path().to_owned();
        let life = Duration::from_millis((round as u64 * 37) % 150);
        let acknowledged = tokio::task::spawn_blocking(move || write_until_killed(&path, round, life))
            .await
            .expect("a round");
        let store = open(directory.path()).await;
        assert_eq!(staged(directory.path()), 0, "what was left is removed at start");
        for digest in &acknowledged {
            let blob = space().blob(digest.parse().expect("a digest"));
            store.stat(&blob).await.expect("what was acknowledged is there");
        }
        for found in store.list(None, usize::MAX).await.expect("blobs are listed") {
            assert_eq!(
                read(&store, &found.blob, ReadRange::WHOLE).await.1,
                Ok(()),
                "{} is whole",
                found.blob
            );
            store.remove(&found.blob).await.expect("a blob is removed");
        }
        store.close().await;
        seen += acknowledged.len();
    }
    assert!(seen > 0, "no round got as far as a blob");
}

/// Stores one blob after the other until it is killed. Not a test: without the variable it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let round: usize = env::var(ROUND).ok().and_then(|round| round.parse().ok()).expect("a round");
    let store = open(Path::new(&directory)).await;
    let say = |line: String| {
        // Whole lines, even when the process dies in the middle of one.
        std::io::stdout().write_all((line + "\n").as_bytes()).expect("the output is read");
    };
    say("opened".to_owned());
    let large = content(1_000_000);
    for n in 0.. {
        say("next".to_owned());
        let from = (round * 100 + n) % 700_000;
        let blob = put(&store, &large.slice(from..)).await.expect("a blob is stored");
        say(format!("done {}", blob.digest));
    }
}
