//! Keys that are verified with again and again, decoded once.

use std::collections::HashMap;
use std::fmt;
use std::mem;

use ed25519_dalek::VerifyingKey;
use parking_lot::Mutex;

use super::UserId;

/// Signing keys of users as points on the curve, a bounded number of them.
///
/// Working out the point takes about a sixth of verifying a signature, and a server hears from the same users all the
/// time. Only keys whose signature was verified get in (see [`crate::Claim::remember_key`]): strangers cannot push
/// out those who are heard. What was not asked for in a while is forgotten first.
pub struct KeyCache {
    per_generation: usize,
    generations: Mutex<Generations>,
}

/// Two maps: when the young one is full it becomes the old one, and what was in that is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<UserId, VerifyingKey>,
    old: HashMap<UserId, VerifyingKey>,
}

impl KeyCache {
    /// A cache of at most so many keys, at some 300 bytes each.
    pub fn new(keys: usize) -> Self {
        Self { per_generation: keys / 2, generations: Mutex::default() }
    }

    /// The key of a user, if it was verified with lately; `id` need not be one.
    pub(crate) fn get(&self, id: &UserId) -> Option<VerifyingKey> {
        let mut generations = self.generations.lock();
        if let Some(key) = generations.young.get(id) {
            return Some(*key);
        }
        let key = generations.old.remove(id)?;
        generations.insert(*id, key, self.per_generation);
        Some(key)
    }

    pub(crate) fn insert(&self, id: UserId, key: VerifyingKey) {
        let mut generations = self.generations.lock();
        if !generations.young.contains_key(&id) {
            generations.insert(id, key, self.per_generation);
        }
    }
}

impl Generations {
    fn insert(&mut self, id: UserId, key: VerifyingKey, bound: usize) {
        if self.young.len() >= bound {
            self.old = mem::take(&mut self.young);
        }
        if bound > 0 {
            self.young.insert(id, key);
        }
    }
}

impl Default for KeyCache {
    /// 8,192 keys, some 2.5 MB at most.
    fn default() -> Self {
        Self::new(8192)
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("per_generation", &self.per_generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn user() -> (UserId, VerifyingKey) {
        let id = Identity::generate().id();
        (id, VerifyingKey::from_bytes(id.as_bytes()).unwrap())
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let cache = KeyCache::new(8);
        let (often, key) = user();
        cache.insert(often, key);
        for _ in 0..100 {
            let (id, key) = user();
            cache.insert(id, key);
            assert_eq!(cache.get(&id), Some(key));
            assert_eq!(cache.get(&often), Some(key).and(VerifyingKey::from_bytes(often.as_bytes()).ok()));
            let generations = cache.generations.lock();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
    }

    #[test]
    fn what_is_not_asked_for_is_forgotten() {
        let cache = KeyCache::new(8);
        let (seldom, key) = user();
        cache.insert(seldom, key);
        for _ in 0..8 {
            let (id, key) = user();
            cache.insert(id, key);
        }
        assert_eq!(cache.get(&seldom), None);
        let none = KeyCache::new(0);
        none.insert(seldom, key);
        assert_eq!(none.get(&seldom), None);
    }
}
