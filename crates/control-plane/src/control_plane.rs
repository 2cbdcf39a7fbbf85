//! The control plane itself: its parts, its limiters, and the changes under way.

use std::{fmt::Display, future::Future, sync::Arc, time::Instant};

use axum::Router;
use busauth::{KeyCache, UserId};
use membership_store::{MembershipStore, NewAuditEntry};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    authorize::{Ask, Permit},
    caller::Caller,
    clock,
    config::{ControlConfig, Parts},
    files::Files,
    problem::{Refusal, Result},
    rate_limit::RateLimiter,
    routes,
};

/// The HTTP API of a bus. Serve [`ControlPlane::router`] with [`crate::Server`].
pub struct ControlPlane {
    pub(crate) config: ControlConfig,
    pub(crate) parts: Parts,
    pub(crate) user_rate: RateLimiter<UserId>,
    pub(crate) address_rate: RateLimiter<std::net::IpAddr>,
    pub(crate) started: Instant,
    /// Signing keys of users who were heard lately.
    pub(crate) keys: KeyCache,
    pub(crate) files: Option<Arc<Files>>,
    changes: TaskTracker,
    /// Shared by changes between their last look at the caller's rights and the store's answer; exclusive for
    /// changes that take such rights away, and for the deletion of a room. So nothing is changed by a user after
    /// its revocation returned, and nobody joins a room while its members are being counted for the last time.
    standing: RwLock<()>,
}

/// Held from the last look at the caller's rights until the store has answered.
pub(crate) type Standing<'a> = RwLockReadGuard<'a, ()>;
/// The same for revocations and deletions: nobody else changes anything meanwhile.
pub(crate) type SoleStanding<'a> = RwLockWriteGuard<'a, ()>;

impl ControlPlane {
    /// A control plane over these parts. Nothing is spawned before the first request.
    pub fn new(config: ControlConfig, parts: Parts) -> Arc<Self> {
        let limits = &config.limits;
        Arc::new(Self {
            user_rate: RateLimiter::new(limits.user_requests_per_second, limits.user_burst),
            address_rate: RateLimiter::new(limits.address_requests_per_second, limits.address_burst),
            started: Instant::now(),
            keys: KeyCache::default(),
            files: parts.blobs.clone().map(Files::new),
            changes: TaskTracker::new(),
            standing: RwLock::new(()),
            config,
            parts,
        })
    }

    /// The API for users: signed requests, as the configured mode asks for.
    pub fn router(self: &Arc<Self>) -> Router {
        routes::signed(self)
    }

    /// The API for whoever has a shell on the bus host: every request is the operator's, unsigned. Serve it
    /// only where the peer is known to be that person, on a socket that others cannot open.
    pub fn local_router(self: &Arc<Self>) -> Router {
        routes::local(self)
    }

    /// Waits for the changes under way: call it when no more requests arrive. `/readyz` says no from now on.
    pub async fn finish(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    pub(crate) fn is_finishing(&self) -> bool {
        self.changes.is_closed()
    }

    pub(crate) fn store(&self) -> &Arc<dyn MembershipStore> {
        &self.parts.store
    }

    /// Looks at the caller's rights once more, right before a change.
    pub(crate) async fn still<A: Ask>(&self, permit: &Permit<A>) -> Result<Standing<'_>> {
        let standing = self.standing.read().await;
        permit.renew(self.store().view())?;
        Ok(standing)
    }

    /// [`ControlPlane::still`] for a change that nothing else may overlap.
    pub(crate) async fn still_alone<A: Ask>(&self, permit: &Permit<A>) -> Result<SoleStanding<'_>> {
        let standing = self.standing.write().await;
        permit.renew(self.store().view())?;
        Ok(standing)
    }

    /// Runs a change in a task of its own. A client that hangs up in the middle drops its request; what was
    /// stored would then not be put into force.
    pub(crate) async fn to_the_end<T, F>(self: Arc<Self>, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = self.changes.spawn(change.in_current_span());
        task.await.unwrap_or_else(|error| Err(Refusal::internal(error)))
    }

    /// Writes to the audit. The change has happened, so a failure here only goes to the log.
    pub(crate) async fn record(
        &self,
        caller: &Caller,
        action: &str,
        target: impl Display,
        detail: Option<String>,
    ) {
        let (actor, target) = (caller.actor(), target.to_string());
        tracing::info!(%actor, action, target, "changed");
        let entry = NewAuditEntry {
            at: clock::now(),
            actor,
            action: action.to_owned(),
            target: Some(target),
            detail,
        };
        if let Err(error) = self.store().append_audit(entry).await {
            tracing::error!(%error, action, "the audit could not be written");
        }
    }
}
