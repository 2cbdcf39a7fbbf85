//! Certificates exchanged in a server that runs.
//!
//! The server has its certificates in memory without a name, under descriptors of its own, and reads them again when it is
//! told to. The supervisor opens those very files through `/proc/PID/fd`, which the kernel allows the user that the server
//! runs as, and writes the new content into them. So the new keys, too, are on no disk, in no argument and in no variable.
//!
//! ```text
//! files on disk ─ clear ─► what may be ─ write ─► memory of the server ─ reload ─► dialled, to see that it holds
//! ```

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use busauth::Authenticator;
use tokio::time::timeout;

use super::{Blueprint, Server, certificates};
use crate::{
    guard::{Cleared, Violations, clear},
    route_dial,
    service_access::dialled,
    service_keys::Account,
    system::SystemError,
};

/// A server on the same machine answers a dial at once, unless the machine is busy.
const DIALLING: Duration = Duration::from_secs(10);

/// What a reload of certificates did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The server shows the new certificates. Its clients were disconnected.
    Changed,
    /// The files hold what the server has already. Nobody was disconnected.
    Unchanged,
}

/// Why a server does not have the certificates that are in the files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// What is in the files would not let a node start, either. The server was not told.
    #[error("the certificates stay as they were: {0}")]
    Refused(Violations),
    /// The server does not run now.
    #[error(
        "the nats-server of this node does not run; when it is started again it gets the new certificates"
    )]
    NotRunning,
    /// They cannot be handed over.
    #[error("the new certificates cannot be handed to nats-server: {0}; restart this node")]
    HandOver(io::Error),
    /// The server does not take them, and keeps what it had.
    #[error("nats-server does not take the new certificates and keeps those it had: {0}")]
    NotTaken(SystemError),
    /// It has taken them, and does not show them.
    #[error("nats-server was given new certificates, and does not show them: {0}; restart this node")]
    NotShown(String),
    /// They could not be looked at.
    #[error("the certificates were not read: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl<A: Authenticator + ?Sized> Blueprint<A> {
    /// What is in the files, where it is not what the server has.
    pub(crate) async fn read_again(&self) -> Result<Option<Cleared>, ReloadError> {
        let config = self.config().clone();
        let new = tokio::task::spawn_blocking(move || clear(config, SystemTime::now())).await?;
        let new = new.map_err(ReloadError::Refused)?;
        Ok(if new.has_certificates_of(&self.cleared) { None } else { Some(new) })
    }

    /// Reads the certificates again and has the server take them.
    pub(crate) async fn reload(&mut self, server: &Server) -> Result<Reloaded, ReloadError> {
        let Some(new) = self.read_again().await? else { return Ok(Reloaded::Unchanged) };
        // Our connections may be made anew at any time from here on, to the server as it was and as it will be.
        if let (Some(accepted), Some(client)) = (&self.accepted, new.client()) {
            accepted.add(client.certificates.first().clone());
        }
        let taken = match hand_over(server, &new) {
            Ok(()) => server.system.reload().await,
            Err(error) => {
                self.put_back(server);
                return Err(ReloadError::HandOver(error));
            }
        };
        match taken {
            Ok(()) => {}
            Err(error @ SystemError::NoAnswer(_)) => {
                tracing::warn!(%error, "nats-server did not say whether it took the new certificates");
            }
            Err(error) => {
                self.put_back(server);
                return Err(ReloadError::NotTaken(error));
            }
        }
        // Whatever comes now, a server that is started again gets what is in the files.
        self.cleared = new;
        self.look(server.listens).await.map_err(ReloadError::NotShown)?;
        Ok(Reloaded::Changed)
    }

    /// The server is to find what it has when it is told to read again by somebody else.
    fn put_back(&self, server: &Server) {
        if let Err(error) = hand_over(server, &self.cleared) {
            tracing::error!(%error, "the certificates of before were not put back: restart this node");
        }
        if let (Some(accepted), Some(client)) = (&self.accepted, self.cleared.client()) {
            accepted.keep_only(client.certificates.first().clone());
        }
    }

    /// Dials the server as its clients and its peers do.
    async fn look(&self, listens: SocketAddr) -> Result<(), String> {
        if let (Some(accepted), Some(client)) = (&self.accepted, self.cleared.client()) {
            accepted.keep_only(client.certificates.first().clone());
            let entered = self.connect(Account::Sys, listens).await.map_err(|error| error.to_string())?;
            drop(entered);
        }
        let config = self.config();
        let Some(route) = self.cleared.route().filter(|_| config.has_peers()) else { return Ok(()) };
        let own = dialled(config.route_listen);
        let shown = timeout(DIALLING, route_dial::certificate_shown(own, route))
            .await
            .map_err(|_| "nothing answers on the route port".to_owned())?
            .map_err(|error| error.to_string())?;
        if shown == *route.pair.certificates.first() {
            Ok(())
        } else {
            Err("other nodes are still shown the certificate of before".to_owned())
        }
    }
}

/// Writes certificates and keys into the memory that the server reads them from.
fn hand_over(server: &Server, cleared: &Cleared) -> io::Result<()> {
    // All are opened before any is written: a server without some of them keeps what it has.
    let open = certificates(cleared)
        .into_iter()
        .map(|(slot, content)| server.process.open_held(slot).map(|file| (file, content)));
    let open: Vec<_> = open.collect::<io::Result<_>>()?;
    for (mut file, content) in open {
        file.set_len(0)?;
        file.write_all(content)?;
    }
    Ok(())
}
