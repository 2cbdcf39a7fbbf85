//! For unit tests: the nats-server that integration tests use, too.

use std::{env, path::Path, path::PathBuf, process::Command};

/// Where it is. `None`, with a word on why, when there is none; on CI that is a failure.
pub(crate) fn nats_server() -> Option<PathBuf> {
    let named = env::var_os("NATS_SERVER").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/nats-server/bin");
    let directories = env::split_paths(&path).chain([tools]);
    let found = named.or_else(|| {
        directories.map(|directory| directory.join("nats-server")).find(|program| program.is_file())
    });
    if found.is_none() {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs a nats-server");
        println!("skipped: no nats-server in NATS_SERVER, PATH or target/tools");
    }
    found
}

/// Whether a configuration is accepted, and what is said about it.
#[expect(clippy::disallowed_methods, reason = "the child is waited for")]
pub(crate) fn check(server: &Path, config: &Path) -> (bool, String) {
    let output = Command::new(server).arg("-t").arg("-c").arg(config).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}
