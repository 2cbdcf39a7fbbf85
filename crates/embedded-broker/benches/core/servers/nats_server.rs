//! A nats-server with its defaults, and the users and the certificate of the benchmark.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path, process::Stdio};

use anyhow::Result;
use tempfile::TempDir;

use super::{Security, child, ports};
use crate::credentials::{self, Files};

pub(super) fn start(binary: &Path, files: &Path, security: Security) -> Result<(child::Owned, SocketAddr)> {
    // It writes its address into a file here.
    let directory = TempDir::new()?;
    let file = directory.path().join("nats.conf");
    fs::write(&file, configuration(directory.path(), &Files::within(files), security)?)?;
    let mut command = child::command(binary);
    // It logs there.
    command.arg("--config").arg(&file).stderr(Stdio::null());
    let mut child = child::Owned::start(&mut command)?;
    let address = ports::wait(directory.path(), &mut child)?;
    Ok((child, address))
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
