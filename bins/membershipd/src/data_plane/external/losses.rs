//! Sending away whoever has lost rights, from every server, and again from those that did not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use busauth::{Principal, UserId};
use cluster::{KickError, Kicker};
use control_plane::DataPlaneError;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::data_plane::logins::{Logins, Loser};

/// How often closing connections is tried again before the change is answered, and after which pauses.
const TRIES: usize = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
/// How long a change waits for all servers before it is answered without.
const DEADLINE: Duration = Duration::from_secs(12);
/// What is pending when no server has confirmed anything. Servers are named by their ids.
const ANY_SERVER: &str = "every server of the external NATS";
/// How often it is tried afterwards.
const AGAIN: Duration = Duration::from_secs(1);

/// Who is to be sent away.
pub(super) struct Losses {
    logins: Arc<Logins>,
    kicker: Kicker,
    /// On which servers users may still be connected with rights that are gone; `None` is all of them.
    pending: Mutex<BTreeMap<UserId, Option<Vec<String>>>>,
    /// One change at a time closes connections, so that whoever has come back is not closed again.
    closing: tokio::sync::Mutex<()>,
}

impl Losses {
    pub(super) fn new(logins: Arc<Logins>, kicker: Kicker) -> Self {
        Self { logins, kicker, pending: Mutex::default(), closing: tokio::sync::Mutex::default() }
    }

    /// How many users may still be connected with rights that are gone.
    pub(super) fn pending(&self) -> usize {
        self.pending.lock().len()
    }

    /// Closes the connections of those of these users who have lost something. What could not be closed stays to be done,
    /// and is pending at the servers that the error names.
    pub(super) async fn apply(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        let mut left = Vec::new();
        let _turn = self.closing.lock().await;
        let deadline = Instant::now() + DEADLINE;
        for user in users {
            let mut tries = 0;
            loop {
                if Instant::now() >= deadline {
                    self.postpone(user);
                    left.push(*user);
                    break;
                }
                let Err(error) = self.send_away(user).await else { break };
                if tries == TRIES {
                    tracing::warn!(%error, %user, "connections with rights that are gone may be open still");
                    left.push(*user);
                    break;
                }
                tries += 1;
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        }
        self.where_left(&left)
    }

    /// The same of everybody who may be connected.
    pub(super) async fn apply_to_all(&self) -> Result<(), DataPlaneError> {
        self.apply(&self.logins.users()).await
    }

    /// Where connections of these users may be open still. Nobody logs in with the rights of before: the change stands.
    fn where_left(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        let pending = self.pending.lock();
        let mut servers = BTreeSet::new();
        for known in users.iter().filter_map(|user| pending.get(user)) {
            match known {
                Some(known) => servers.extend(known.iter().cloned()),
                None => return Err(DataPlaneError::Pending(vec![ANY_SERVER.to_owned()])),
            }
        }
        if servers.is_empty() { Ok(()) } else { Err(DataPlaneError::Pending(servers.into_iter().collect())) }
    }

    /// Leaves it to be done later, if there is anything to do.
    fn postpone(&self, user: &UserId) {
        if self.logins.has_lost(user).is_some() {
            self.pending.lock().insert(*user, None);
        }
    }

    /// Goes on with what could not be done, until stopped.
    pub(super) async fn repeat(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_some() {
            let users: Vec<UserId> = self.pending.lock().keys().copied().collect();
            for user in users {
                let repeated = async {
                    let _turn = self.closing.lock().await;
                    self.send_away(&user).await
                };
                match stop.run_until_cancelled(repeated).await {
                    None => return,
                    Some(Ok(())) => {
                        tracing::info!(%user, "connections with rights that are gone are closed now");
                    }
                    Some(Err(error)) => tracing::debug!(%error, %user, "connections were not closed yet"),
                }
            }
        }
    }

    async fn send_away(&self, user: &UserId) -> Result<(), KickError> {
        let principal = Principal::from(user);
        if let Some(loser) = self.logins.has_lost(user) {
            let kicked = self.kicker.kick(&principal).await;
            return self.note(user, Some(&loser), kicked);
        }
        let servers = self.pending.lock().get(user).cloned();
        match servers {
            None => Ok(()),
            // Whoever has come back elsewhere has the rights that hold now.
            Some(Some(servers)) => self.note(user, None, self.kicker.kick_again(&principal, &servers).await),
            Some(None) => self.note(user, None, self.kicker.kick(&principal).await),
        }
    }

    fn note(
        &self,
        user: &UserId,
        loser: Option<&Loser>,
        kicked: Result<usize, KickError>,
    ) -> Result<(), KickError> {
        let mut pending = self.pending.lock();
        match &kicked {
            Ok(_) => {
                pending.remove(user);
            }
            Err(KickError::Unreached { servers, .. }) => {
                pending.insert(*user, Some(servers.clone()));
            }
            Err(_) => {
                pending.insert(*user, None);
                return kicked.map(drop);
            }
        }
        if let Some(loser) = loser {
            self.logins.closed(loser);
        }
        kicked.map(drop)
    }
}
