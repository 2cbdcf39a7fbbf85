//! Nobody is let in while a bus is being moved into the store that this process works with: what is known of its rooms is
//! half of it.
//!
//! A process that runs already has done at its start what depends on what the store holds. So behind the end of a move this
//! is done again before anybody is let in: requests that the bus accepted where it was are not accepted once more, and
//! rooms with history have their streams. The end is counted by the store, so that none is missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, Presented, Principal};
use control_plane::{Orphans, ReconcileError, reconcile};
use membership_store::{KvNonceStore, KvOpenError, KvStore, StoreError};

use super::JetStreamRooms;
use super::lease::BEAT;

/// How soon it is tried again to do what has to be done behind a move.
const AGAIN: Duration = Duration::from_secs(1);

/// The moves into a store.
pub(crate) struct Moves {
    store: KvStore,
    nonces: Arc<KvNonceStore>,
    rooms: Arc<JetStreamRooms>,
    /// How many moves had ended when everything was last in line with the store.
    in_line: AtomicU64,
}

/// The end of a move that everything has to be brought in line with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended(u64);

/// Why nothing is in line behind a move.
#[derive(Debug, thiserror::Error)]
enum NotInLine {
    #[error(transparent)]
    Nonces(#[from] KvOpenError),
    #[error(transparent)]
    Streams(#[from] ReconcileError),
}

impl Moves {
    /// Everything in this process is in line with the store as it was when so many moves had ended.
    pub(crate) fn new(
        store: KvStore,
        nonces: Arc<KvNonceStore>,
        rooms: Arc<JetStreamRooms>,
        in_line: u64,
    ) -> Self {
        Self { store, nonces, rooms, in_line: AtomicU64::new(in_line) }
    }

    /// Waits until everything is known here that was acknowledged before, the beginning of a move included.
    pub(super) async fn confirm(&self) -> Result<(), StoreError> {
        // In a box because it is large, and so would be every future around it.
        Box::pin(self.store.confirm()).await.map(drop)
    }

    /// Why nobody may be let in, if that is so.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        if self.store.is_moving() {
            return Some(
                "a bus is being moved in, or a move was cut off: nobody is let in until membershipd migrate-to-kv, run \
                 again as it was run, says that it is done",
            );
        }
        let in_line = self.in_line.load(Ordering::Acquire) == self.store.ended_moves();
        (!in_line).then_some("a bus was moved in, and nobody is let in until its rooms can be used")
    }

    /// Waits for the next move, and for its end; says both, and brings everything in line that all planes have. Whatever the
    /// plane has of its own comes then; only [`Moves::let_in`] ends it.
    pub(super) async fn next_ended(&self) -> Ended {
        while self.obstacle().is_none() {
            tokio::time::sleep(BEAT).await;
        }
        if self.store.is_moving() {
            tracing::warn!(
                "a bus is being moved into this store: nobody is let in until all of it is there; where no \
                 membershipd migrate-to-kv runs it was cut off, and goes on when it is run again as it was run"
            );
        }
        loop {
            while self.store.is_moving() {
                tokio::time::sleep(BEAT).await;
            }
            // First: what ends from here on is seen the next time.
            let ended = Ended(self.store.ended_moves());
            match Box::pin(self.bring_in_line()).await {
                Ok(()) if !self.store.is_moving() => return ended,
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "a bus was moved in, and its rooms cannot be used yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn bring_in_line(&self) -> Result<(), NotInLine> {
        self.nonces.look_again().await?;
        let done = reconcile(&self.store, &*self.rooms, Orphans::Keep).await?;
        tracing::info!(
            made = done.made,
            changed = done.changed,
            "rooms that were moved in have their streams"
        );
        Ok(())
    }

    /// Everything is in line: users are let in, unless there is another move.
    pub(super) fn let_in(&self, Ended(moves): Ended) {
        self.in_line.store(moves, Ordering::Release);
        if self.obstacle().is_none() {
            tracing::info!("the bus that was moved in is there: users are let in");
        }
    }
}

/// Logins, unless a bus is being moved in.
pub(super) struct UnlessMoving<A> {
    pub(super) logins: Arc<A>,
    pub(super) moves: Arc<Moves>,
}

#[async_trait]
impl<A: Authenticator> Authenticator for UnlessMoving<A> {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        match self.moves.obstacle() {
            Some(obstacle) => Err(AuthFailure::Unavailable(obstacle.to_owned())),
            None => self.logins.authenticate(presented).await,
        }
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        if self.moves.obstacle().is_some() { None } else { self.logins.rights(principal) }
    }
}
