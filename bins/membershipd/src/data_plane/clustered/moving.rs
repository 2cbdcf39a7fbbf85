//! Nobody is let in while a bus is being moved into the cluster: what is known of its rooms is half of it.

use std::sync::Arc;

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, Presented, Principal};
use membership_store::KvStore;

use crate::data_plane::logins::Logins;

/// Logins, unless a bus is being moved in.
pub(super) struct UnlessMoving {
    pub(super) logins: Arc<Logins>,
    pub(super) store: KvStore,
}

#[async_trait]
impl Authenticator for UnlessMoving {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        if self.store.is_moving() {
            return Err(AuthFailure::Unavailable("a bus is being moved into this cluster".to_owned()));
        }
        self.logins.authenticate(presented).await
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        if self.store.is_moving() { None } else { self.logins.rights(principal) }
    }
}
