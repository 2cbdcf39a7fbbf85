//! The servers, each as a child process with a store of its own on the disk of the target directory.

#[path = "../support/child.rs"]
mod child;
mod embedded;
mod nats_server;
#[path = "../support/ports.rs"]
mod ports;

use std::{fmt, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::procfs::Process;

pub(crate) use embedded::serve;

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// The embedded broker: acknowledges what is on disk.
    Ours,
    /// nats-server as it comes: syncs every two minutes.
    Default,
    /// nats-server that syncs before it acknowledges.
    Always,
}

/// Starts servers.
pub(crate) struct Servers {
    nats_server: PathBuf,
}

/// A running server, killed on drop; its store goes with it.
pub(crate) struct Server {
    contender: Contender,
    binary: PathBuf,
    store: TempDir,
    running: Option<(child::Owned, SocketAddr)>,
}

impl Servers {
    pub(crate) fn new(nats_server: PathBuf) -> Self {
        Self { nats_server }
    }

    /// Starts a server with an empty store and returns when it listens.
    pub(crate) fn start(&self, contender: Contender) -> Result<Server> {
        // A temporary directory may be in memory: what is synced there says nothing.
        let store = TempDir::with_prefix_in("bench-jetstream-", env!("CARGO_TARGET_TMPDIR"))
            .context("no directory for a store")?;
        let mut server = Server { contender, binary: self.nats_server.clone(), store, running: None };
        server.restart()?;
        Ok(server)
    }
}

impl Server {
    /// Kills it and starts it with the same store; returns when it listens.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.running = None;
        let store = self.store.path();
        let started = match self.contender {
            Contender::Ours => embedded::start(store),
            Contender::Default => nats_server::start(&self.binary, store, false),
            Contender::Always => nats_server::start(&self.binary, store, true),
        };
        self.running = Some(started.with_context(|| self.contender.to_string())?);
        Ok(())
    }

    pub(crate) fn process(&self) -> Result<Process> {
        Ok(self.running()?.0.process())
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.running()?.1)
    }

    fn running(&self) -> Result<&(child::Owned, SocketAddr)> {
        self.running.as_ref().context("the server could not be started again")
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "the embedded broker",
            Self::Default => "nats-server",
            Self::Always => "nats-server, sync always",
        })
    }
}
