//! A connection to a bus, as one identity.

mod addresses;
mod connect;
mod core;
mod renew;
mod rooms;
mod session;
mod standing;
mod users;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use busauth::{Handle, UserId};
use control_api::{Info, Me};
use tokio_util::sync::DropGuard;

use crate::config::BusConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::state::StateStore;

pub(crate) use self::core::{BusCore, Line};
pub(crate) use self::session::{Listening, Right, Session};

/// How long tasks get to finish on shutdown.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// A connection to a bus. Cheap to clone; when the last clone and the last room are gone everything stops, but only
/// [`Bus::shutdown`] waits for it and reports what could not be saved.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(crate) core: Arc<BusCore>,
    /// Held only for its drop.
    _alive: Arc<DropGuard>,
}

impl Bus {
    /// Connects both planes and starts to listen for events.
    ///
    /// Fails when the address or TLS settings are unsafe, the bus cannot be reached, or does not know this identity.
    pub async fn connect(config: BusConfig) -> Result<Self> {
        let core = connect::connect(config).await?;
        let alive = Arc::new(core.stop.clone().drop_guard());
        Ok(Self { core, _alive: alive })
    }

    /// The id this connection acts as.
    pub fn user_id(&self) -> UserId {
        self.core.user
    }

    /// The handle the bus knows this identity by.
    pub fn handle(&self) -> &Handle {
        &self.core.handle
    }

    /// What the bus said about itself when this connection began.
    pub fn info(&self) -> &Info {
        &self.core.info
    }

    /// The own record and rooms, asked now.
    pub async fn me(&self) -> Result<Me> {
        self.core.control.get("/v1/me").await
    }

    /// Nodes of the bus that had not confirmed a change made here when it was answered, since this was asked last. Such a
    /// change stands; a node that stays silent serves nobody once its lease is over, others try again until it is done.
    pub fn take_unconfirmed_nodes(&self) -> Vec<String> {
        self.core.control.take_unconfirmed()
    }

    /// A receiver for what happens from now on.
    pub fn events(&self) -> Events {
        Events::new(self.core.events())
    }

    /// Names and heads as this client remembers them.
    pub fn state(&self) -> &StateStore {
        &self.core.state
    }

    /// Stops everything, saves what is remembered, and waits for every task.
    ///
    /// The error says what did not end cleanly; nothing runs on either way.
    pub async fn shutdown(self) -> Result<()> {
        let core = self.core.clone();
        drop(self);
        core.stop.cancel();
        core.tasks.close();
        let tasks = tokio::time::timeout(SHUTDOWN, core.tasks.wait()).await;
        let saved = core.save_windows().await;
        let drained = core.session().close(SHUTDOWN).await;
        saved?;
        if tasks.is_err() || !drained {
            return Err(Error::new(
                ErrorKind::Timeout,
                "the client did not stop in time; its tasks were abandoned",
            ));
        }
        Ok(())
    }
}
