//! A real nats-server, where there is one: from `NATS_SERVER`, `PATH`, or `target/tools`.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The program. `None`, with a word on why, when there is none; on CI that is a failure.
pub(crate) fn program() -> Option<PathBuf> {
    let found = find();
    if found.is_none() {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs a nats-server");
        println!("skipped: no nats-server in NATS_SERVER, PATH or target/tools");
    }
    found
}

fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("NATS_SERVER") {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let places = env::split_paths(&path).chain([tools.join("nats-server/bin")]);
    places.map(|directory| directory.join("nats-server")).find(|program| program.is_file())
}
