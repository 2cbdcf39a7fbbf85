//! The keys of our own at a server: the issuer whose signature lets users in, and the service identities of the accounts.
//!
//! Those of a node are random, made when the process starts, and exist in its memory only. They are the same for every
//! server that this process starts one after the other, so that connections of its own come back by themselves. Those
//! for an external NATS are made from a secret (see `external/keys.rs`).

use std::fmt;

use nkeys::{KeyPair, XKey};
use zeroize::Zeroizing;

/// The accounts of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// Where logins are asked about. Nothing else happens there.
    Auth,
    /// The bus's own data: stores, nonces, files. Only the service identity can enter.
    Ctl,
    /// Clients and the streams of rooms.
    Bus,
    /// The server's own: health, connections, kicks.
    Sys,
}

impl Account {
    /// Its name in the server's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "AUTH",
            Self::Ctl => "CTL",
            Self::Bus => "BUS",
            Self::Sys => "SYS",
        }
    }
}

/// The keys.
pub(crate) struct ServiceKeys {
    issuer: KeyPair,
    /// What questions about logins are sealed for. A node has none: its questions do not leave the machine.
    exchange: Option<XKey>,
    auth: KeyPair,
    ctl: KeyPair,
    bus: KeyPair,
    sys: KeyPair,
}

impl ServiceKeys {
    pub(crate) fn generate() -> Self {
        Self {
            issuer: KeyPair::new_account(),
            exchange: None,
            auth: KeyPair::new_user(),
            ctl: KeyPair::new_user(),
            bus: KeyPair::new_user(),
            sys: KeyPair::new_user(),
        }
    }

    /// Keys that others have, too; the service identities in the order of the accounts.
    pub(crate) fn shared(issuer: KeyPair, exchange: XKey, [auth, ctl, bus, sys]: [KeyPair; 4]) -> Self {
        Self { issuer, exchange: Some(exchange), auth, ctl, bus, sys }
    }

    pub(crate) fn exchange(&self) -> Option<&XKey> {
        self.exchange.as_ref()
    }

    pub(crate) fn issuer(&self) -> &KeyPair {
        &self.issuer
    }

    /// What the service identity of an account logs in with.
    pub(crate) fn seed(&self, account: Account) -> Zeroizing<String> {
        // Every pair in here has its seed.
        Zeroizing::new(self.pair(account).seed().unwrap_or_default())
    }

    pub(crate) fn public(&self, account: Account) -> String {
        self.pair(account).public_key()
    }

    fn pair(&self, account: Account) -> &KeyPair {
        match account {
            Account::Auth => &self.auth,
            Account::Ctl => &self.ctl,
            Account::Bus => &self.bus,
            Account::Sys => &self.sys,
        }
    }

    /// Always the same, for golden files.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        use nkeys::KeyPairType::{Account, User};

        let pair = |kind, number| KeyPair::new_from_raw(kind, [number; 32]).unwrap();
        Self {
            issuer: pair(Account, 1),
            exchange: None,
            auth: pair(User, 2),
            ctl: pair(User, 3),
            bus: pair(User, 4),
            sys: pair(User, 5),
        }
    }
}

impl fmt::Debug for ServiceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceKeys").finish_non_exhaustive()
    }
}
