//! The files in `deploy/`: the script that installs the service, and the units.

mod install;
mod machine;
mod runbook;
mod units;

use std::path::{Path, PathBuf};

/// `deploy/` of the repository.
fn deploy_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").canonicalize().unwrap()
}

/// A program of this system. `None`, with a word on why a test was left out, where it is not: nothing that this repository
/// fetches could provide it.
#[expect(clippy::print_stdout, reason = "a test that does not run says so")]
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|path| path.join(name)).find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no {name} in PATH");
    }
    found
}
