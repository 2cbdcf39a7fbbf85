//! A nats-server with streams and otherwise its defaults.

use std::{fs, net::SocketAddr, path::Path, process::Stdio};

use anyhow::Result;
use tempfile::TempDir;

use super::{child, ports};

pub(super) fn start(binary: &Path, store: &Path, always: bool) -> Result<(child::Owned, SocketAddr)> {
    // It writes its address into a file here.
    let directory = TempDir::new()?;
    let file = directory.path().join("nats.conf");
    let sync = if always { ", sync_interval: always" } else { "" };
    let configuration = format!(
        "listen: \"127.0.0.1:-1\"\nports_file_dir: \"{}\"\njetstream {{ store_dir: \"{}\", max_file: 64GB{sync} }}\n",
        directory.path().display(),
        store.display()
    );
    fs::write(&file, configuration)?;
    let mut command = child::command(binary);
    // It logs there.
    command.arg("--config").arg(&file).stderr(Stdio::null());
    let mut child = child::Owned::start(&mut command)?;
    let address = ports::wait(directory.path(), &mut child)?;
    Ok((child, address))
}
