//! How many requests one user or one address may send.
//!
//! The generic cell rate algorithm: per key one point in time, at which the next request would be due if all
//! came evenly. A request is refused when that point lies further ahead than the burst allows.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Keys remembered at once. A key is forgotten as soon as it is no longer owed any waiting.
const MAX_KEYS: usize = 100_000;

/// A bounded rate limiter over keys of one kind.
#[derive(Debug)]
pub(crate) struct RateLimiter<K> {
    /// Time between two requests in the long run; zero switches the limiter off.
    interval: Duration,
    /// How far ahead of an even pace a key may be.
    tolerance: Duration,
    due: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq + Copy> RateLimiter<K> {
    /// `per_second` requests in the long run and `burst` at once; zero per second is no limit.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or(Duration::ZERO);
        let tolerance = interval.saturating_mul(burst.max(1) - 1);
        Self { interval, tolerance, due: Mutex::default() }
    }

    /// Counts one request; an error says how long to wait. Refused requests are not counted.
    pub(crate) fn admit(&self, key: K, now: Instant) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        let mut due = self.due.lock();
        if due.len() >= MAX_KEYS && !due.contains_key(&key) {
            due.retain(|_, due| *due > now);
            if due.len() >= MAX_KEYS {
                return Err(Duration::from_secs(1));
            }
        }
        let next = due.get(&key).copied().unwrap_or(now).max(now);
        let wait = next.duration_since(now).saturating_sub(self.tolerance);
        if !wait.is_zero() {
            return Err(wait);
        }
        due.insert(key, next + self.interval);
        Ok(())
    }
}

/// What an address is limited as: an IPv6 client has a whole /64 to itself.
pub(crate) fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_pace_counts() {
        let limiter = RateLimiter::new(10, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.admit('a', start), Ok(()));
        }
        assert_eq!(limiter.admit('a', start), Err(Duration::from_millis(100)));
        assert_eq!(limiter.admit('b', start), Ok(()), "others are not affected");
        assert_eq!(limiter.admit('a', start + Duration::from_millis(100)), Ok(()));
        assert!(limiter.admit('a', start + Duration::from_millis(100)).is_err());
        let later = start + Duration::from_mins(1);
        for _ in 0..3 {
            assert_eq!(limiter.admit('a', later), Ok(()), "the burst is available again");
        }
    }

    #[test]
    fn keys_are_bounded_and_forgotten_when_they_owe_nothing() {
        let limiter = RateLimiter::new(1, 1);
        let start = Instant::now();
        for key in 0..MAX_KEYS {
            assert_eq!(limiter.admit(key, start), Ok(()));
        }
        assert!(limiter.admit(MAX_KEYS, start).is_err(), "full: a new key has to wait");
        assert_eq!(limiter.admit(MAX_KEYS, start + Duration::from_secs(2)), Ok(()));
        assert_eq!(limiter.due.lock().len(), 1);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limiter = RateLimiter::new(0, 0);
        assert!((0..10_000).all(|_| limiter.admit((), Instant::now()).is_ok()));
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
