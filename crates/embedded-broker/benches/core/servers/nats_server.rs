//! A nats-server with its defaults, and the users and the certificate of the benchmark.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::{Security, child};
use crate::credentials::{self, Files};

/// A large configuration takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it listens.
const LOOK: Duration = Duration::from_millis(10);

pub(super) fn start(binary: &Path, files: &Path, security: Security) -> Result<(child::Owned, SocketAddr)> {
    // It writes its address into a file here.
    let directory = TempDir::new()?;
    let file = directory.path().join("nats.conf");
    fs::write(&file, configuration(directory.path(), &Files::within(files), security)?)?;
    let mut command = child::command(binary);
    // It logs there.
    command.arg("--config").arg(&file).stderr(Stdio::null());
    let mut child = child::Owned::start(&mut command)?;
    let started = Instant::now();
    loop {
        if let Some(address) = address(directory.path())? {
            return Ok((child, address));
        }
        if let Some(status) = child.ended()? {
            bail!("ended at start ({status})");
        }
        if started.elapsed() > PATIENCE {
            bail!("does not listen after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}

fn configuration(directory: &Path, files: &Files, security: Security) -> Result<String> {
    let mut text = format!("listen: \"127.0.0.1:-1\"\nports_file_dir: \"{}\"\n", directory.display());
    if security != Security::Open {
        writeln!(text, "authorization {{ users: [")?;
        for (number, nkey) in fs::read_to_string(&files.users)?.lines().enumerate() {
            let permissions = credentials::nats_permissions(number, nkey);
            writeln!(text, "{{ nkey: {nkey}, permissions: {permissions} }}")?;
        }
        writeln!(text, "] }}")?;
    }
    if security == Security::Tls {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        writeln!(text, "tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}")?;
    }
    Ok(text)
}

/// The address from the file of ports, `{"nats":["nats://127.0.0.1:40123"], …}`, once it is there.
fn address(directory: &Path) -> Result<Option<SocketAddr>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ports") {
            let ports: Result<serde_json::Value, _> = serde_json::from_slice(&fs::read(&path)?);
            let Ok(ports) = ports else {
                return Ok(None); // not written to its end yet
            };
            let url = ports["nats"][0].as_str().context("the file of ports names no client port")?;
            let address = url.split_once("://").map_or(url, |(_, address)| address);
            return Ok(Some(address.parse()?));
        }
    }
    Ok(None)
}
