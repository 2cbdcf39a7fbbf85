//! A user that every holder of the secret lets in, with no rights: the proof that a server asks one of us about logins,
//! and takes the answer.

use std::sync::Arc;

use async_trait::async_trait;
use busauth::{
    Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Permissions, Presented, Principal, Signature,
};
use nkeys::KeyPair;

/// Nobody else is called so: users are called by their id.
pub(super) const PROBE: &str = "membershipd-probe";

/// Lets the probe in, and leaves everybody else to another.
pub(super) struct WithProbe {
    probe: String,
    principal: Principal,
    nothing: Arc<Acl>,
    others: Arc<dyn Authenticator>,
}

impl WithProbe {
    pub(super) fn new(probe: &KeyPair, others: Arc<dyn Authenticator>) -> Self {
        Self {
            probe: probe.public_key(),
            principal: Principal::new(PROBE),
            nothing: Arc::new(Acl::compile(&Permissions::default())),
            others,
        }
    }
}

#[async_trait]
impl Authenticator for WithProbe {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let (Some(nkey), Some(signature)) = (presented.nkey, presented.signature) else {
            return self.others.authenticate(presented).await;
        };
        if nkey != self.probe {
            return self.others.authenticate(presented).await;
        }
        let signature = Signature::from_connect(signature).map_err(|_| AuthFailure::Malformed("sig"))?;
        LoginKey::log_in(nkey, presented.nonce, &signature)?;
        Ok(Authenticated { principal: self.principal.clone(), acl: Arc::clone(&self.nothing) })
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        if *principal == self.principal {
            return Some(Arc::clone(&self.nothing));
        }
        self.others.rights(principal)
    }
}
