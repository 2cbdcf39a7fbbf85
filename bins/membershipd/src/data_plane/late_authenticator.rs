//! An authenticator that is known only after the data plane listens.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, Presented, Principal};

/// Knows nobody until the store is open.
#[derive(Default)]
pub(crate) struct LateAuthenticator(OnceLock<Arc<dyn Authenticator>>);

impl LateAuthenticator {
    /// Says who knows the users, once that is known.
    pub(crate) fn set(&self, users: Arc<dyn Authenticator>) {
        if self.0.set(users).is_err() {
            tracing::error!("the data plane had an authenticator already; it keeps the first");
        }
    }
}

#[async_trait]
impl Authenticator for LateAuthenticator {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        match self.0.get() {
            Some(users) => users.authenticate(presented).await,
            None => Err(AuthFailure::Unavailable("the store is not open yet".to_owned())),
        }
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.0.get()?.rights(principal)
    }
}
