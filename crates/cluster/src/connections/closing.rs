//! Closing connections one after the other, and finding out which of them are there.

use std::collections::HashSet;

use futures_util::future;

use super::{Connection, KickError, Kicker};
use crate::system::{System, SystemError};

/// Kicks at a time of connections that are on no list. More would not be faster: the server does one after the other.
const AT_ONCE: usize = 64;

/// Connections being closed, and what came of it.
pub(super) struct Closing<'a> {
    kicker: &'a Kicker,
    pub(super) system: &'a System,
    closed: usize,
    /// Those that are not there any more, whoever closed them.
    gone: HashSet<Connection>,
    /// Servers that do not answer. Nothing is asked of them again.
    unreached: Vec<String>,
    /// There may be more than were listed.
    too_many: bool,
}

impl<'a> Closing<'a> {
    pub(super) fn new(
        kicker: &'a Kicker,
        system: &'a System,
        unreached: impl Iterator<Item = String>,
    ) -> Self {
        let unreached = unreached.collect();
        Self { kicker, system, closed: 0, gone: HashSet::new(), unreached, too_many: false }
    }

    /// Closes connections that are there: one after the other, at their pace.
    pub(super) async fn listed(&mut self, connections: &[Connection]) -> Result<(), SystemError> {
        for connection in connections {
            if self.unreached.contains(&connection.server_id) {
                continue;
            }
            self.kicker.pace().await;
            let outcome = self.system.kick(&connection.server_id, connection.cid).await;
            self.note(connection, outcome)?;
        }
        Ok(())
    }

    /// Closes those that are being let in, among connections of which most have ended by themselves: many at a time, and
    /// only what was there is waited for.
    pub(super) async fn unlisted(&mut self, connections: &[Connection]) -> Result<(), SystemError> {
        for some in connections.chunks(AT_ONCE) {
            self.kicker.wait().await;
            let kicks = some
                .iter()
                // Written down before its server was lost.
                .filter(|connection| !self.unreached.contains(&connection.server_id))
                .map(async |connection| {
                    (connection, self.system.kick(&connection.server_id, connection.cid).await)
                });
            let kicked = future::join_all(kicks).await;
            let before = self.closed;
            let noted =
                kicked.into_iter().try_for_each(|(connection, outcome)| self.note(connection, outcome));
            self.kicker.owe(self.closed - before);
            noted?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        connection: &Connection,
        outcome: Result<bool, SystemError>,
    ) -> Result<(), SystemError> {
        match outcome {
            Ok(was_there) => {
                self.closed += usize::from(was_there);
                self.gone.insert(connection.clone());
            }
            // One that is gone for good is not waited for.
            Err(_) if !self.system.is_expected(&connection.server_id) => {}
            Err(error) if self.system.is_alone() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, server = connection.server_id, "a connection was not closed");
                if !self.unreached.contains(&connection.server_id) {
                    self.unreached.push(connection.server_id.clone());
                }
            }
        }
        Ok(())
    }

    /// There may be more than were listed: the end is none.
    pub(super) fn too_many(&mut self) {
        self.too_many = true;
    }

    /// How many there were, if all servers were reached.
    pub(super) fn end(self) -> Result<usize, KickError> {
        self.kicker.recent.forget_those(&self.gone);
        let closed = self.closed;
        if !self.unreached.is_empty() {
            Err(KickError::Unreached { closed, servers: self.unreached })
        } else if self.too_many {
            Err(KickError::TooMany { closed })
        } else {
            Ok(closed)
        }
    }
}
