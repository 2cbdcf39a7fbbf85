//! Who a request comes from, after authentication.

use std::sync::Arc;

use busauth::UserId;
use control_api::ProblemCode;
use membership_store::{Actor, BusRole, User, View};

use crate::problem::{Refusal, Result};

/// Who asks. Only [`crate::authenticate`] makes one.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A user who signed the request.
    Signed(Arc<User>),
    /// A user whom an unsigned request names, in a mode that lets it. Never an admin.
    Named(Arc<User>),
    /// Whoever has a shell on the bus host, through the local control socket.
    Operator,
}

impl Caller {
    /// The user, unless it is the operator, who is nobody in particular.
    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            Self::Signed(user) | Self::Named(user) => Some(user),
            Self::Operator => None,
        }
    }

    /// The user's id, for what only a user can do.
    pub(crate) fn user_id(&self) -> Result<UserId> {
        let nobody = || Refusal::new(ProblemCode::Forbidden, "only a user can do this: sign the request");
        self.user().map(|user| user.id).ok_or_else(nobody)
    }

    /// The role on the bus that counts for permissions.
    pub(crate) fn role(&self) -> BusRole {
        match self {
            // A name that anybody can write into a header is never an admin.
            Self::Named(user) if user.role == BusRole::Admin => BusRole::Member,
            Self::Signed(user) | Self::Named(user) => user.role,
            Self::Operator => BusRole::Admin,
        }
    }

    /// The caller as the store knows it now: the role may have changed since the request arrived, and whoever
    /// was revoked in the meantime changes nothing any more.
    pub(crate) fn refreshed(&self, view: &View) -> Result<Self> {
        let now = |user: &User| match view.user(&user.id) {
            Some(user) if user.is_active() => Ok(user),
            _ => Err(revoked(user.id)),
        };
        Ok(match self {
            Self::Signed(user) => Self::Signed(now(user)?),
            Self::Named(user) => Self::Named(now(user)?),
            Self::Operator => Self::Operator,
        })
    }

    /// As the audit names the caller.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Signed(user) | Self::Named(user) => Actor::User(user.id),
            Self::Operator => Actor::Operator,
        }
    }
}

/// The answer to everything that a revoked user asks.
pub(crate) fn revoked(user: UserId) -> Refusal {
    Refusal::new(ProblemCode::UserRevoked, "this user is revoked and cannot use the bus any more").about(user)
}
