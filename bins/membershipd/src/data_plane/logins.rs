//! Who is let in at this node's server, and with which rights they were.
//!
//! Rights are fixed at a login. So that a change of rights disconnects those who lose something, and nobody else, the
//! rights of each login are kept here. Under one lock a login reads the rights and writes them down, and a change compares
//! what was written down with what holds now: whichever comes first, no connection stays with rights that are gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, Permissions, Presented, Principal, UserId};
use control_plane::AccessTable;
use parking_lot::Mutex;

use super::lease::Lease;

/// Different rights of one user's connections that are told apart; beyond, the oldest count as lost.
const MAX_KEPT: usize = 16;

/// The users of a node that is part of a cluster.
pub(super) struct Logins {
    access: AccessTable,
    lease: Arc<Lease>,
    granted: Mutex<Granted>,
}

#[derive(Default)]
struct Granted {
    /// Nobody is let in any more.
    closed: bool,
    next: u64,
    of: HashMap<UserId, Vec<Grant>>,
    /// Where connections may be left from before this process decided about logins: whose are closed.
    without_earlier: Option<HashSet<UserId>>,
}

/// Rights that connections were made with, and when last.
struct Grant {
    at: u64,
    permissions: Permissions,
}

/// Somebody who has lost rights since a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loser {
    pub(super) user: UserId,
    /// Logins from here on have the rights that hold now.
    upto: u64,
}

impl Logins {
    pub(super) fn new(access: AccessTable, lease: Arc<Lease>) -> Self {
        Self { access, lease, granted: Mutex::default() }
    }

    /// The same where connections may be left that were let in by another process, with rights that are not known here.
    pub(super) fn with_earlier(access: AccessTable, lease: Arc<Lease>) -> Self {
        let granted = Granted { without_earlier: Some(HashSet::new()), ..Granted::default() };
        Self { access, lease, granted: Mutex::new(granted) }
    }

    /// Whether the user has connections here that were made with rights which do not hold any more.
    pub(super) fn has_lost(&self, user: &UserId) -> Option<Loser> {
        let granted = self.granted.lock();
        let loser = Loser { user: *user, upto: granted.next };
        if granted.without_earlier.as_ref().is_some_and(|without| !without.contains(user)) {
            return Some(loser);
        }
        let before = granted.of.get(user)?;
        let now = self.access.rights_of(user).map(|rights| rights.permissions());
        let lost = match &now {
            None => true,
            Some(now) => before.iter().any(|grant| !includes(now, &grant.permissions)),
        };
        lost.then_some(loser)
    }

    /// The connections are closed that had been made by then.
    pub(super) fn closed(&self, loser: &Loser) {
        let mut granted = self.granted.lock();
        if let Some(without) = &mut granted.without_earlier {
            without.insert(loser.user);
        }
        if let Some(grants) = granted.of.get_mut(&loser.user) {
            grants.retain(|grant| grant.at >= loser.upto);
            if grants.is_empty() {
                granted.of.remove(&loser.user);
            }
        }
    }

    /// Lets nobody in any more: who is not among [`Logins::everybody`] when this returns never is.
    pub(super) fn close(&self) {
        self.granted.lock().closed = true;
    }

    /// Everybody who may be connected here, as losers of everything up to now.
    pub(super) fn everybody(&self) -> Vec<Loser> {
        let granted = self.granted.lock();
        granted.of.keys().map(|user| Loser { user: *user, upto: granted.next }).collect()
    }

    /// Everybody who may be connected here.
    pub(super) fn users(&self) -> Vec<UserId> {
        self.granted.lock().of.keys().copied().collect()
    }
}

impl Granted {
    fn note(&mut self, user: UserId, permissions: Permissions) {
        let at = self.next;
        self.next += 1;
        let grants = self.of.entry(user).or_default();
        // Whoever has more loses whatever those with less lose.
        grants.retain(|grant| !includes(&permissions, &grant.permissions));
        if grants.len() == MAX_KEPT {
            grants.remove(0);
            // In the place of what is forgotten: rights that nobody has, which count as lost at the next change.
            grants[0] = Grant { at, permissions: Permissions::allow_all() };
        }
        grants.push(Grant { at, permissions });
    }
}

#[async_trait]
impl Authenticator for Logins {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        if !self.lease.is_held() {
            let reason = "this node does not know whether what it knows still holds";
            return Err(AuthFailure::Unavailable(reason.to_owned()));
        }
        if self.granted.lock().closed {
            return Err(AuthFailure::Unavailable("this node stops".to_owned()));
        }
        self.access.authenticate(presented).await
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        if !self.lease.is_held() {
            return None;
        }
        let user: UserId = principal.as_str().parse().ok()?;
        let mut granted = self.granted.lock();
        if granted.closed {
            return None;
        }
        let rights = self.access.rights_of(&user)?;
        granted.note(user, rights.permissions());
        Some(rights)
    }
}

/// Whether whoever may do `now` may do everything of `before`, as far as can be seen entry by entry. Where it cannot,
/// somebody is disconnected who need not be.
fn includes(now: &Permissions, before: &Permissions) -> bool {
    // Both in the order of their text.
    fn all<T: PartialEq>(of: &[T], within: &[T]) -> bool {
        let mut rest = within.iter();
        of.iter().all(|entry| rest.any(|other| other == entry))
    }
    all(&before.publish.allow, &now.publish.allow)
        && all(&before.publish.spaces, &now.publish.spaces)
        && all(&now.publish.deny, &before.publish.deny)
        && all(&before.subscribe.allow, &now.subscribe.allow)
        && all(&before.subscribe.spaces, &now.subscribe.spaces)
        && all(&now.subscribe.deny, &before.subscribe.deny)
        && before.responses == now.responses
}

#[cfg(test)]
mod tests;
