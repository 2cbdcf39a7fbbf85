//! The login of the host process: one key, all rights.

use std::sync::Arc;

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Presented, Principal, Signature};

/// Accepts one nkey, on the listener that only this process knows of.
pub(crate) struct InternalLogin {
    key: LoginKey,
    acl: Arc<Acl>,
}

impl InternalLogin {
    pub(crate) fn new(key: LoginKey) -> Self {
        Self { key, acl: Arc::new(Acl::allow_all()) }
    }

    fn principal(&self) -> Principal {
        Principal::new(self.key.to_string())
    }
}

#[async_trait]
impl Authenticator for InternalLogin {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let (Some(nkey), Some(signature)) = (presented.nkey, presented.signature) else {
            return Err(AuthFailure::NoCredentials);
        };
        let key: LoginKey = nkey.parse().map_err(|_| AuthFailure::Malformed("nkey"))?;
        let signature = Signature::from_connect(signature).map_err(|_| AuthFailure::Malformed("sig"))?;
        if key != self.key {
            return Err(AuthFailure::Unknown);
        }
        key.verify_nonce(presented.nonce, &signature).map_err(|_| AuthFailure::WrongCredentials)?;
        Ok(Authenticated { principal: self.principal(), acl: Arc::clone(&self.acl) })
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        (*principal == self.principal()).then(|| Arc::clone(&self.acl))
    }
}
