//! Users whom a test lets in and out.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
};

use async_trait::async_trait;
use busauth::{
    Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Permissions, Presented, Principal, Signature,
};
use nkeys::KeyPair;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Everybody who may log in, and what they may do.
#[derive(Default)]
pub(crate) struct Users {
    by_login: Mutex<HashMap<LoginKey, Principal>>,
    rights: Mutex<HashMap<Principal, Arc<Acl>>>,
    gate: Mutex<Option<Arc<Gate>>>,
    answered: AtomicUsize,
    block: Mutex<Option<(Principal, Receiver<()>)>>,
}

/// Holds a login between being recognised and being given rights.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) reached: Notify,
    pub(crate) open: Notify,
}

/// Somebody with a key.
pub(crate) struct User {
    pub(crate) principal: Principal,
    key: KeyPair,
}

impl User {
    pub(crate) fn seed(&self) -> String {
        self.key.seed().unwrap()
    }

    pub(crate) fn key(&self) -> &KeyPair {
        &self.key
    }
}

impl Users {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Somebody who may log in.
    pub(crate) fn add(&self, name: &str, permissions: &Permissions) -> User {
        let user = stranger(name);
        self.adopt(&user, permissions);
        user
    }

    /// Lets somebody in who was made elsewhere.
    pub(crate) fn adopt(&self, user: &User, permissions: &Permissions) {
        self.by_login.lock().insert(user.key.public_key().parse().unwrap(), user.principal.clone());
        self.set(user, permissions);
    }

    pub(crate) fn set(&self, user: &User, permissions: &Permissions) {
        self.rights.lock().insert(user.principal.clone(), Arc::new(Acl::compile(permissions)));
    }

    pub(crate) fn revoke(&self, user: &User) {
        self.rights.lock().remove(&user.principal);
    }

    /// How many logins were decided.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// A login of this user stops the thread that decides it until there is word to go on.
    pub(crate) fn block_thread_at(&self, user: &str, release: Receiver<()>) {
        *self.block.lock() = Some((Principal::new(user), release));
    }

    /// The next logins wait at a gate.
    pub(crate) fn hold(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.gate.lock() = Some(Arc::clone(&gate));
        gate
    }
}

/// Somebody with a key that nobody knows.
pub(crate) fn stranger(name: &str) -> User {
    User { principal: Principal::new(name), key: KeyPair::new_user() }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let (Some(nkey), Some(signature)) = (presented.nkey, presented.signature) else {
            return Err(AuthFailure::NoCredentials);
        };
        let signature = Signature::from_connect(signature).map_err(|_| AuthFailure::Malformed("sig"))?;
        let login = LoginKey::log_in(nkey, presented.nonce, &signature)?;
        let principal = self.by_login.lock().get(&login).cloned().ok_or(AuthFailure::Unknown)?;
        let acl = self.rights(&principal).ok_or(AuthFailure::Revoked)?;
        self.answered.fetch_add(1, Ordering::SeqCst);
        let block = self.block.lock().take_if(|(at, _)| *at == principal);
        if let Some((_, release)) = block {
            // Not a future: nothing else happens on this thread meanwhile.
            release.recv().ok();
        }
        let gate = self.gate.lock().take();
        if let Some(gate) = gate {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
        Ok(Authenticated { principal, acl })
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.rights.lock().get(principal).cloned()
    }
}
