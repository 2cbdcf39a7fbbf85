//! The two servers, each as a child process so that /proc tells what it costs.

mod authenticator;
#[path = "../support/child.rs"]
mod child;
mod embedded;
mod nats_server;
#[path = "../support/ports.rs"]
mod ports;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{
    credentials::{Credentials, Files},
    procfs::Process,
};

pub(crate) use embedded::serve;

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Ours,
    NatsServer,
}

/// What a client has to do to get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Security {
    /// Nothing; everybody may do everything.
    Open,
    /// Log in with an nkey; permissions.
    Login,
    /// The same over TLS.
    Tls,
}

/// What this program is told when it is started as a server.
pub(crate) struct Child {
    /// Where the files of [`Credentials`] are.
    pub(crate) directory: PathBuf,
    pub(crate) security: Security,
}

/// Starts servers.
pub(crate) struct Servers {
    nats_server: PathBuf,
    credentials: Credentials,
    directory: TempDir,
}

/// A running server, stopped on drop.
pub(crate) struct Server {
    child: child::Owned,
    pub(crate) address: SocketAddr,
}

impl Servers {
    pub(crate) fn new(nats_server: PathBuf) -> Result<Self> {
        let directory = TempDir::with_prefix("bench-core-").context("no temporary directory")?;
        let credentials = Credentials::create(&Files::within(directory.path()))?;
        Ok(Self { nats_server, credentials, directory })
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Starts a server and returns when it listens.
    pub(crate) fn start(&self, contender: Contender, security: Security) -> Result<Server> {
        let files: &Path = self.directory.path();
        let (child, address) = match contender {
            Contender::Ours => embedded::start(files, security),
            Contender::NatsServer => nats_server::start(&self.nats_server, files, security),
        }
        .context(contender)?;
        Ok(Server { child, address })
    }
}

impl Server {
    pub(crate) fn process(&self) -> Process {
        self.child.process()
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "the embedded broker",
            Self::NatsServer => "nats-server",
        })
    }
}
