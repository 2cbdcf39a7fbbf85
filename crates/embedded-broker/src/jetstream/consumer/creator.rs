//! Who made a push consumer: its deliveries go on with the right to make it.
//!
//! A pull ends with its connection. A push consumer outlives the connection that made it, and delivers to whoever
//! listens, which may be the same user after a new login: so each round of deliveries asks what the user may do *now*.

use busauth::Principal;
use serde::{Deserialize, Serialize};

use crate::Authentication;

/// Who made a consumer, and through which subject of the API.
#[derive(Clone)]
pub(crate) struct Creator {
    authentication: Authentication,
    stored: StoredCreator,
}

/// What is stored of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCreator {
    principal: Option<String>,
    /// It came through the door of the host process, which may do everything.
    host: bool,
    subject: String,
}

impl Creator {
    /// A client: who it is and how it logged in, and the subject it asked through.
    pub(crate) fn new(
        authentication: &Authentication,
        principal: Option<Principal>,
        host: bool,
        subject: &str,
    ) -> Self {
        let principal = principal.map(|principal| principal.as_str().to_owned());
        let stored = StoredCreator { principal, host, subject: subject.to_owned() };
        Self { authentication: authentication.clone(), stored }
    }

    /// As it was stored, where users are known by this.
    pub(crate) fn recover(stored: StoredCreator, authentication: &Authentication) -> Self {
        Self { authentication: authentication.clone(), stored }
    }

    pub(crate) fn stored(&self) -> &StoredCreator {
        &self.stored
    }

    /// Whether the user may still make such a consumer. To be called while `Engine::deliveries` is held for reading,
    /// until what depends on it is appended.
    pub(crate) fn may_go_on(&self) -> bool {
        let Authentication::By(authenticator) = &self.authentication else { return true };
        if self.stored.host {
            return true;
        }
        let Some(principal) = &self.stored.principal else { return false };
        let rights = authenticator.rights(&Principal::new(principal.as_str()));
        rights.is_some_and(|acl| acl.may_publish(&self.stored.subject))
    }
}
