//! What this client knows of a room at one moment. Replaced as a whole, never changed.

use std::sync::Arc;

use room_protocol::{Head, RoomLog, RoomState};

use crate::error::{Error, ErrorKind, Result};
use crate::state::Suspicion;

#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Verified from its first entry.
    pub(super) log: Arc<RoomLog>,
    /// The connection under which the log was last fetched; publishing needs the present one.
    pub(super) synced: u64,
    /// Why nothing is sent, if so.
    pub(super) suspicion: Option<Suspicion>,
    pub(super) access: Access,
}

/// Whether the bus lets us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    Frozen,
    /// No longer a member, or the room is gone.
    Lost,
}

impl View {
    pub(crate) fn log(&self) -> &Arc<RoomLog> {
        &self.log
    }

    pub(crate) fn state(&self) -> &RoomState {
        self.log.state()
    }

    pub(crate) fn head(&self) -> Head {
        self.log.head()
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn suspicion(&self) -> Option<Suspicion> {
        self.suspicion
    }

    /// Nothing is signed on top of a log that the server contradicts.
    pub(crate) fn check_trusted(&self) -> Result<()> {
        match self.suspicion {
            None => Ok(()),
            Some(Suspicion::RolledBack { known, offered }) => Err(Error::new(
                ErrorKind::RolledBack,
                format!(
                    "the server offers the room's log only up to entry {}, but entry {} is known: nothing is sent until you \
                     decide whom to believe",
                    offered.seq, known.seq
                ),
            )),
            Some(Suspicion::Forked { known, .. }) => Err(Error::new(
                ErrorKind::Forked,
                format!(
                    "the server offers another history of the room, different from entry {} on: nothing is sent until you \
                     decide whom to believe",
                    known.seq
                ),
            )),
        }
    }

    /// Whether messages may be sent.
    pub(crate) fn check_sending(&self) -> Result<()> {
        self.check_trusted()?;
        match self.access {
            Access::Lost => {
                Err(Error::new(ErrorKind::NotAMember, "this identity is not a member of the room any more"))
            }
            Access::Frozen => {
                Err(Error::new(ErrorKind::RoomFrozen, "the room is frozen by an administrator of the bus"))
            }
            Access::Open if self.state().is_closed() => {
                Err(Error::new(ErrorKind::RoomClosed, "the room is closed"))
            }
            Access::Open => Ok(()),
        }
    }
}
