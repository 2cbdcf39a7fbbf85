//! Where a nats-server listens: from the file of ports it writes.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::child::Owned;

/// A large configuration takes a moment, many messages take longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked whether it listens.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the server listens, which was told to write its ports into this directory.
pub(super) fn wait(directory: &Path, child: &mut Owned) -> Result<SocketAddr> {
    let started = Instant::now();
    loop {
        if let Some(address) = address(directory)? {
            return Ok(address);
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
