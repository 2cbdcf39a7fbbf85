//! The keys that are used at an external NATS, all made from one secret: whoever has it has the same keys.

use std::{fmt, sync::Arc};

use hkdf::Hkdf;
use nkeys::{KeyPair, KeyPairType, XKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    service_keys::{Account, ServiceKeys},
    shared_secret::SharedSecret,
};

/// Changing this, or one of the names below, changes every key, and so what operators have in their configuration.
const SALT: &[u8] = b"membershipd/v1";

/// The keys of a membershipd at an external NATS.
#[derive(Clone)]
pub struct ExternalKeys {
    pub(super) service: Arc<ServiceKeys>,
    /// Is let in by whoever answers logins with these keys, with no rights at all: proves that we are asked.
    pub(super) probe: Arc<KeyPair>,
    /// Are in the server's configuration and must not get in by it alone: prove that nobody else does, either.
    canaries: Arc<[KeyPair; 2]>,
}

/// The public halves, for the server's configuration. No secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKeys {
    pub(super) issuer: String,
    pub(super) exchange: String,
    pub(super) auth: String,
    pub(super) ctl: String,
    pub(super) bus: String,
    pub(super) sys: String,
    pub(super) ctl_canary: String,
    pub(super) bus_canary: String,
}

impl ExternalKeys {
    /// The keys that belong to a secret.
    pub fn derive(secret: &SharedSecret) -> Self {
        let raw = |name: &str| {
            let mut raw = Zeroizing::new([0; 32]);
            // Only an output of more than 8160 bytes can be refused.
            Hkdf::<Sha256>::new(Some(SALT), secret.expose())
                .expand(name.as_bytes(), &mut *raw)
                .expect("32 bytes can be expanded");
            raw
        };
        // From 32 bytes any such key can be made.
        let pair = |kind, name| KeyPair::new_from_raw(kind, *raw(name)).expect("a key of 32 bytes");
        let user = |name| pair(KeyPairType::User, name);
        Self {
            service: Arc::new(ServiceKeys::shared(
                pair(KeyPairType::Account, "callout-issuer"),
                XKey::new_from_raw(*raw("callout-xkey")),
                [
                    user("callout-service-user"),
                    user("control-service-user"),
                    user("bus-service-user"),
                    user("system-service-user"),
                ],
            )),
            probe: Arc::new(user("callout-probe-user")),
            canaries: Arc::new([user("control-canary-user"), user("bus-canary-user")]),
        }
    }

    /// Accounts that must be closed to all that we do not let in, each with a user of its configuration that shows
    /// whether it is.
    pub(super) fn canaries(&self) -> [(Account, &KeyPair); 2] {
        let [ctl, bus] = &*self.canaries;
        [(Account::Ctl, ctl), (Account::Bus, bus)]
    }

    pub(super) fn public(&self) -> PublicKeys {
        let of = |account| self.service.public(account);
        let [ctl_canary, bus_canary] = self.canaries().map(|(_, pair)| pair.public_key());
        PublicKeys {
            issuer: self.service.issuer().public_key(),
            exchange: self.service.exchange().map(XKey::public_key).unwrap_or_default(),
            auth: of(Account::Auth),
            ctl: of(Account::Ctl),
            bus: of(Account::Bus),
            sys: of(Account::Sys),
            ctl_canary,
            bus_canary,
        }
    }
}

impl fmt::Debug for ExternalKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
