//! Who a request comes from, after authentication.

use std::sync::Arc;

use busauth::UserId;
use control_api::ProblemCode;
use membership_store::{Actor, BusRole, UserAccess};

use crate::problem::{Refusal, Result};

/// Who asks. Only [`crate::authenticate`] makes one.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A user who signed the request.
    Signed(Arc<UserAccess>),
    /// A user whom an unsigned request names, in a mode that lets it. Never an admin.
    Named(Arc<UserAccess>),
    /// Whoever has a shell on the bus host, through the local control socket.
    Operator,
}

impl Caller {
    /// The user, unless it is the operator, who is nobody in particular.
    pub(crate) fn user(&self) -> Option<&UserAccess> {
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
            Self::Signed(user) => user.role,
            // A name that anybody can write into a header is never an admin.
            Self::Named(user) if user.role == BusRole::Admin => BusRole::Member,
            Self::Named(user) => user.role,
            Self::Operator => BusRole::Admin,
        }
    }

    /// As the audit names the caller.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Signed(user) | Self::Named(user) => Actor::User(user.id),
            Self::Operator => Actor::Operator,
        }
    }
}
