//! Nonces in this process's memory: enough for one node.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Freshness, NonceStore, NonceStoreError};
use crate::http_signature::{HttpNonce, MAX_AHEAD_SECONDS, NONCE_LIFETIME_SECONDS};
use crate::nkey::UserId;

/// How many nonces are remembered at once. An entry takes about 150 bytes and lives up to 70 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceLimits {
    /// Of all users together.
    pub total: usize,
    /// Of one user, so that none can use up what all share.
    pub per_user: usize,
}

impl Default for NonceLimits {
    /// 262,144 together (some 40 MiB at worst, 3,700 requests a second) and 16,384 for one user
    /// (230 requests a second).
    fn default() -> Self {
        Self { total: 262_144, per_user: 16_384 }
    }
}

/// A bounded [`NonceStore`] in memory. When it is full it refuses; it never forgets early.
#[derive(Debug)]
pub struct MemoryNonceStore {
    limits: NonceLimits,
    memory: Mutex<Memory>,
}

type Key = (UserId, HttpNonce);

#[derive(Debug, Default)]
struct Memory {
    seen: HashSet<Key>,
    by_expiry: BTreeMap<u64, Vec<Key>>,
    per_user: HashMap<UserId, usize>,
    /// Everything that expires at or before this second may have been forgotten. Requests from
    /// then are refused, which also covers a clock that was set forward and back again.
    forgotten_through: u64,
}

impl MemoryNonceStore {
    /// A store for a bus that has never accepted a request before.
    pub fn new(limits: NonceLimits) -> Self {
        Self { limits, memory: Mutex::default() }
    }

    /// A store for a process that started at `started` (unix seconds) and cannot know what was
    /// accepted before. A request accepted then was signed at most 5 s after `started`, so
    /// whatever claims to be from that time is [`NonceStoreError::Forgotten`].
    pub fn after_restart(limits: NonceLimits, started: u64) -> Self {
        let store = Self::new(limits);
        store.begin_anew(started);
        store
    }

    /// The same for a store that is in use: requests were accepted elsewhere until then.
    pub fn begin_anew(&self, at: u64) {
        let forgotten = at.saturating_add(MAX_AHEAD_SECONDS).saturating_add(NONCE_LIFETIME_SECONDS);
        let mut memory = self.memory.lock();
        memory.forgotten_through = memory.forgotten_through.max(forgotten);
    }

    /// How many nonces are remembered at this moment.
    pub fn len(&self) -> usize {
        self.memory.lock().seen.len()
    }

    /// Whether no nonce is remembered at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl NonceStore for MemoryNonceStore {
    async fn insert_if_absent(
        &self,
        user: &UserId,
        nonce: &HttpNonce,
        now: u64,
        expires: u64,
    ) -> Result<Freshness, NonceStoreError> {
        self.memory.lock().insert_if_absent((*user, *nonce), now, expires, self.limits)
    }
}

impl Memory {
    fn insert_if_absent(
        &mut self,
        key: Key,
        now: u64,
        expires: u64,
        limits: NonceLimits,
    ) -> Result<Freshness, NonceStoreError> {
        self.forget_before(now);
        if expires <= self.forgotten_through {
            let sign_from = (self.forgotten_through + 1).saturating_sub(NONCE_LIFETIME_SECONDS);
            return Err(NonceStoreError::Forgotten { sign_from });
        }
        if self.seen.contains(&key) {
            return Ok(Freshness::Seen);
        }
        if self.seen.len() >= limits.total {
            return Err(NonceStoreError::Full);
        }
        let of_user = self.per_user.get(&key.0).copied().unwrap_or(0);
        if of_user >= limits.per_user {
            return Err(NonceStoreError::UserFull);
        }
        self.per_user.insert(key.0, of_user + 1);
        self.seen.insert(key);
        self.by_expiry.entry(expires).or_default().push(key);
        Ok(Freshness::Fresh)
    }

    /// Forgets what expired before `now`.
    fn forget_before(&mut self, now: u64) {
        while let Some(first) = self.by_expiry.first_entry() {
            if *first.key() >= now {
                break;
            }
            let (expires, keys) = first.remove_entry();
            self.forgotten_through = self.forgotten_through.max(expires);
            for key in keys {
                self.seen.remove(&key);
                if let Some(count) = self.per_user.get_mut(&key.0) {
                    *count -= 1;
                    if *count == 0 {
                        self.per_user.remove(&key.0);
                    }
                }
            }
        }
    }
}
