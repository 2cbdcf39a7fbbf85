//! The nonce store in memory, with a bell: a test can wait until a request was authenticated.

use async_trait::async_trait;
use busauth::{Freshness, HttpNonce, MemoryNonceStore, NonceStore, NonceStoreError, UserId};
use tokio::sync::Notify;

pub(crate) struct ObservedNonces {
    nonces: MemoryNonceStore,
    pub(crate) accepted: Notify,
}

impl ObservedNonces {
    pub(crate) fn new(nonces: MemoryNonceStore) -> Self {
        Self { nonces, accepted: Notify::new() }
    }
}

#[async_trait]
impl NonceStore for ObservedNonces {
    async fn insert_if_absent(
        &self,
        user: &UserId,
        nonce: &HttpNonce,
        now: u64,
        expires: u64,
    ) -> Result<Freshness, NonceStoreError> {
        let freshness = self.nonces.insert_if_absent(user, nonce, now, expires).await;
        self.accepted.notify_waiters();
        freshness
    }
}
