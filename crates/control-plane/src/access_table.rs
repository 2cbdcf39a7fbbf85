//! Who may log in to the data plane, and with which rights: the store's view seen through [`grants`].

use std::sync::Arc;

use async_trait::async_trait;
use busauth::{
    Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Presented, Principal, Signature, UserId,
};
use membership_store::{User, View};

use crate::grants::{PlaintextRooms, grants};

/// What rights depend on besides memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessOptions {
    /// What becomes of rooms without encryption.
    pub plaintext_rooms: PlaintextRooms,
}

/// Answers a broker's questions from memory. Rights are computed when somebody connects and whenever access
/// changed; nothing is kept in between, so nothing can be out of date.
#[derive(Debug, Clone)]
pub struct AccessTable {
    view: Arc<View>,
    options: AccessOptions,
}

impl AccessTable {
    /// A table over a store's view.
    pub fn new(view: Arc<View>, options: AccessOptions) -> Self {
        Self { view, options }
    }

    /// What a user may do now; `None` for a stranger and for somebody revoked.
    pub fn rights_of(&self, user: &UserId) -> Option<Arc<Acl>> {
        let user = self.view.user(user)?;
        user.is_active().then(|| self.compile(&user))
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    fn compile(&self, user: &User) -> Arc<Acl> {
        let memberships = self.view.memberships(&user.id);
        let rooms = memberships.iter().map(|(room, role)| (room.as_ref(), *role));
        Arc::new(Acl::compile(&grants(user, rooms, self.options.plaintext_rooms)))
    }
}

#[async_trait]
impl Authenticator for AccessTable {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let (Some(nkey), Some(signature)) = (presented.nkey, presented.signature) else {
            return Err(AuthFailure::NoCredentials);
        };
        let signature = Signature::from_connect(signature).map_err(|_| AuthFailure::Malformed("sig"))?;
        // The signature first: a stranger's takes as long as a user's.
        let login = LoginKey::log_in(nkey, presented.nonce, &signature)?;
        let user = self.view.user_by_login(&login).ok_or(AuthFailure::Unknown)?;
        if !user.is_active() {
            return Err(AuthFailure::Revoked);
        }
        Ok(Authenticated { principal: Principal::from(user.id), acl: self.compile(&user) })
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.rights_of(&principal.as_str().parse().ok()?)
    }
}
