//! A room: its verified members, sending, receiving, and changing it.

mod change;
mod core;
mod create;
mod files;
mod keys;
mod ledger;
mod members;
mod publish;
mod rekey;
mod view;
mod watch;

use std::sync::Arc;

use room_protocol::{Head, RoomId, RoomState, RoomSubject, SignedStatement};

use crate::bus::Bus;
use crate::error::Result;
use crate::state::Suspicion;
use crate::subscription::{SubscribeOptions, Subscription};

pub(crate) use self::core::{RoomCore, unix_millis};
pub use create::RoomDraft;
pub(crate) use view::{Access, View};

/// A room that this identity is a member of. Cheap to clone; while one exists, the SDK follows the room's log.
#[derive(Clone, Debug)]
pub struct Room {
    pub(crate) core: Arc<RoomCore>,
    /// Keeps the connection alive as long as the room is in use.
    pub(crate) bus: Bus,
}

/// Whether the server's log agrees with what is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTrust {
    /// It does.
    Intact,
    /// It ends earlier. Sending has stopped.
    RolledBack {
        /// The head known here.
        known: Head,
        /// The head the server offers.
        offered: Head,
    },
    /// It is another one. Sending has stopped.
    Forked {
        /// The first entry known to differ, as known here.
        known: Head,
        /// The same entry as the server has it.
        other: Head,
    },
}

impl Room {
    /// The room's id: the hash of its first entry, so nobody can give two rooms the same.
    pub fn id(&self) -> RoomId {
        self.core.id
    }

    /// Where the room's messages are.
    pub fn subject(&self) -> RoomSubject {
        self.state().subject().clone()
    }

    /// What people call the room.
    pub fn name(&self) -> String {
        self.state().name().as_str().to_owned()
    }

    /// The room as its verified log says, at the newest entry known here.
    pub fn state(&self) -> RoomState {
        self.core.view().state().clone()
    }

    /// Every entry of the verified log.
    pub fn log(&self) -> Vec<SignedStatement> {
        self.core.view().log().entries().to_vec()
    }

    /// Number and hash of the last entry known here. Two members with the same head have the same room.
    pub fn head(&self) -> Head {
        self.core.view().head()
    }

    /// Fetches and verifies what is new, and returns the room as it is then.
    pub async fn refresh(&self) -> Result<RoomState> {
        let view = self.core.sync().await?;
        self.core.look_up().await?;
        Ok(view.state().clone())
    }

    /// Whether the server's log agrees with what is known here.
    pub fn trust(&self) -> LogTrust {
        match self.core.view().suspicion() {
            None => LogTrust::Intact,
            Some(Suspicion::RolledBack { known, offered }) => LogTrust::RolledBack { known, offered },
            Some(Suspicion::Forked { known, other }) => LogTrust::Forked { known, other },
        }
    }

    /// Decides for the server: what is known here is forgotten, the server's log is verified from its first entry and
    /// used from now on. The evidence stays in the state directory. A person makes this decision, never a program.
    pub async fn accept_server_log(&self) -> Result<()> {
        self.core.accept_server_log().await
    }

    /// Decides for what is known here: gives the server back the entries it lost. Returns whether the logs agree now.
    pub async fn offer_log(&self) -> Result<bool> {
        if let Some(Suspicion::RolledBack { offered, .. }) = self.core.view().suspicion() {
            self.core.offer_entries(offered.seq).await?;
        }
        self.core.sync().await?;
        Ok(self.trust() == LogTrust::Intact)
    }

    /// Messages of the room from now on, verified and decrypted.
    pub async fn subscribe(&self) -> Result<Subscription> {
        self.subscribe_with(SubscribeOptions::default()).await
    }

    /// The same for a part of the room, for a queue group, or without one's own messages.
    pub async fn subscribe_with(&self, options: SubscribeOptions) -> Result<Subscription> {
        Subscription::start(self, options).await
    }
}
