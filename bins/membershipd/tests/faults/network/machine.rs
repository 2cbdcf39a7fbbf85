//! A network namespace: a machine of its own as far as its network goes.
//!
//! It has a name under `/run/netns`, which holds it until somebody takes the name away. The name says which process made it, so
//! that what a process has left behind that was killed is found by the next one.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const NAMES: &str = "/run/netns";
const PREFIX: &str = "unibus-faults-";

/// A namespace, for as long as the value lives; and for as long as a process is in it.
pub(super) struct Machine {
    name: String,
}

impl Machine {
    /// A machine without a network. An error is why there can be none.
    pub(super) fn new() -> Result<Self, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name], "")?;
        Ok(Self { name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Has `ip` or `tc` do there what these lines say.
    pub(super) fn batch(&self, program: &str, lines: &[impl AsRef<str>]) -> Result<(), String> {
        let input: String = lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect();
        run(program, &["-n", &self.name, "-batch", "-"], &input).map(drop)
    }

    /// The way into it.
    pub(super) fn door(&self) -> Door {
        Door(File::open(Path::new(NAMES).join(&self.name)).unwrap())
    }
}

/// A way into a machine. It is there as long as it is open.
pub(super) struct Door(File);

impl Door {
    /// Does something on a thread that is there, as the threads and processes are that it starts.
    pub(super) fn enter<T: Send>(self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|threads| {
            let there = threads.spawn(move || {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                what()
            });
            there.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            println!("{}/{} stays: {error}", NAMES, self.name);
        }
    }
}

fn remove(name: &str) -> Result<(), String> {
    run("ip", &["netns", "del", name], "").map(drop)
}

/// Removes what processes have left behind that were killed, and ends what still runs there.
pub(super) fn remove_stale() {
    let Ok(names) = std::fs::read_dir(NAMES) else { return };
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| maker_of(name).is_some_and(|maker| !maker.exists())) {
        // Another one may do the same.
        let left = run("ip", &["netns", "pids", &name], "").unwrap_or_default();
        for pid in left.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)) {
            kill_process(pid, Signal::KILL).ok();
        }
        remove(&name).ok();
    }
}

/// Where the process is, if it still is, that has made what is called so.
fn maker_of(name: &str) -> Option<PathBuf> {
    let (maker, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some(Path::new("/proc").join(maker.parse::<u32>().ok()?.to_string()))
}

/// Runs a program of iproute2, and returns what it printed. An error is what it said.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let failed = |error: io::Error| format!("{program}, of iproute2, cannot be run: {error}");
    #[expect(clippy::disallowed_methods, reason = "it is waited for, also where nothing is asynchronous")]
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // A program that has ended at once does not read it, and says why.
    let told = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        return told.transpose().map(|_| printed).map_err(failed);
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
