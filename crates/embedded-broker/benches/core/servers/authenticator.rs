//! Logins by nkey, as a bus does them: key, permissions, then the signature.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use anyhow::Result;
use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Presented, Principal, Signature};

use crate::credentials;

/// Everybody who may log in.
pub(super) struct Users(HashMap<LoginKey, (Principal, Arc<Acl>)>);

impl Users {
    /// Reads the public keys, one a line.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let user = |(number, nkey): (usize, &str)| {
            let acl = Acl::compile(&credentials::permissions(number, nkey)?);
            Ok((nkey.parse()?, (Principal::new(nkey), Arc::new(acl))))
        };
        Ok(Self(text.lines().enumerate().map(user).collect::<Result<_>>()?))
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let nkey = presented.nkey.ok_or(AuthFailure::NoCredentials)?;
        let signature = Signature::from_connect(presented.signature.unwrap_or_default())
            .map_err(|_| AuthFailure::Malformed("sig"))?;
        let key = LoginKey::log_in(nkey, presented.nonce, &signature)?;
        let (principal, acl) = self.0.get(&key).cloned().ok_or(AuthFailure::Unknown)?;
        Ok(Authenticated { principal, acl })
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        let key: LoginKey = principal.as_str().parse().ok()?;
        self.0.get(&key).map(|(_, acl)| Arc::clone(acl))
    }
}
