//! The in-memory store under time, load and threads.

use futures_util::FutureExt as _;

use super::{Freshness, MemoryNonceStore, NonceLimits, NonceStore as _, NonceStoreError};
use crate::http_signature::NONCE_LIFETIME_SECONDS;
use crate::{HttpNonce, Identity, UserId};

const NOW: u64 = 1_800_000_000;

fn user(number: u8) -> UserId {
    Identity::from_seeds([number; 32], [100; 32], [101; 32]).id()
}

fn nonce(number: u64) -> HttpNonce {
    HttpNonce::from_bytes(u128::from(number).to_be_bytes())
}

fn insert(
    store: &MemoryNonceStore,
    user: UserId,
    number: u64,
    now: u64,
    created: u64,
) -> Result<Freshness, NonceStoreError> {
    store
        .insert_if_absent(&user, &nonce(number), now, created + NONCE_LIFETIME_SECONDS)
        .now_or_never()
        .expect("memory answers at once")
}

fn small(total: usize, per_user: usize) -> MemoryNonceStore {
    MemoryNonceStore::new(NonceLimits { total, per_user })
}

#[test]
fn a_nonce_is_fresh_once_per_user() {
    let store = small(10, 10);
    assert!(store.is_empty());
    assert_eq!(insert(&store, user(1), 7, NOW, NOW).unwrap(), Freshness::Fresh);
    assert_eq!(insert(&store, user(1), 7, NOW, NOW).unwrap(), Freshness::Seen);
    // Two users may draw the same nonce; that says nothing about a replay.
    assert_eq!(insert(&store, user(2), 7, NOW, NOW).unwrap(), Freshness::Fresh);
    assert_eq!(insert(&store, user(1), 8, NOW, NOW).unwrap(), Freshness::Fresh);
    assert_eq!(store.len(), 3);
}

#[test]
fn a_nonce_is_kept_until_created_plus_65_seconds() {
    let store = small(10, 10);
    assert_eq!(insert(&store, user(1), 7, NOW, NOW).unwrap(), Freshness::Fresh);
    assert_eq!(insert(&store, user(1), 7, NOW + 60, NOW).unwrap(), Freshness::Seen);
    assert_eq!(insert(&store, user(1), 7, NOW + 65, NOW).unwrap(), Freshness::Seen);
    // Then it goes; the request it came with is far too old by now, and refused here as well.
    let late = insert(&store, user(1), 7, NOW + 66, NOW);
    assert!(
        matches!(late, Err(NonceStoreError::Forgotten { sign_from }) if sign_from == NOW + 1),
        "{late:?}"
    );
    assert!(store.is_empty());
}

#[test]
fn a_full_store_refuses_and_recovers_with_time() {
    let store = small(3, 3);
    for number in 0..3 {
        assert_eq!(insert(&store, user(1), number, NOW, NOW).unwrap(), Freshness::Fresh);
    }
    assert!(matches!(insert(&store, user(2), 3, NOW, NOW), Err(NonceStoreError::Full)));
    // What it knows it still knows.
    assert_eq!(insert(&store, user(1), 0, NOW, NOW).unwrap(), Freshness::Seen);
    assert_eq!(store.len(), 3);

    let later = NOW + NONCE_LIFETIME_SECONDS + 1;
    assert_eq!(insert(&store, user(2), 3, later, later).unwrap(), Freshness::Fresh);
    assert_eq!(store.len(), 1);
}

#[test]
fn one_user_cannot_use_up_the_store() {
    let store = small(10, 4);
    for number in 0..4 {
        assert_eq!(insert(&store, user(1), number, NOW, NOW).unwrap(), Freshness::Fresh);
    }
    assert!(matches!(insert(&store, user(1), 4, NOW, NOW), Err(NonceStoreError::UserFull)));
    for number in 0..4 {
        assert_eq!(insert(&store, user(2), number, NOW, NOW).unwrap(), Freshness::Fresh);
    }
    let later = NOW + NONCE_LIFETIME_SECONDS + 1;
    assert_eq!(insert(&store, user(1), 4, later, later).unwrap(), Freshness::Fresh);
}

#[test]
fn after_a_restart_older_requests_are_refused() {
    let store = MemoryNonceStore::after_restart(NonceLimits::default(), NOW);
    // Accepted by the former process at the latest at NOW, so signed at most 5 s ahead of it.
    for created in [NOW - 60, NOW, NOW + 5] {
        let refused = insert(&store, user(1), created, NOW, created);
        assert!(
            matches!(refused, Err(NonceStoreError::Forgotten { sign_from }) if sign_from == NOW + 6),
            "{refused:?}"
        );
    }
    assert_eq!(insert(&store, user(1), 9, NOW + 1, NOW + 6).unwrap(), Freshness::Fresh);
    assert_eq!(insert(&store, user(1), 9, NOW + 1, NOW + 6).unwrap(), Freshness::Seen);
}

#[test]
fn a_clock_that_jumps_forward_and_back_opens_no_window() {
    let store = small(10, 10);
    assert_eq!(insert(&store, user(1), 7, NOW, NOW).unwrap(), Freshness::Fresh);
    let hour_ahead = NOW + 3600;
    assert_eq!(insert(&store, user(1), 8, hour_ahead, hour_ahead).unwrap(), Freshness::Fresh);
    // The first nonce is forgotten. With the clock set right again it must not be fresh.
    assert!(matches!(insert(&store, user(1), 7, NOW + 1, NOW), Err(NonceStoreError::Forgotten { .. })));
    assert_eq!(insert(&store, user(1), 9, NOW + 2, NOW + 2).unwrap(), Freshness::Fresh);
}

#[test]
fn of_racing_requests_one_wins() {
    let store = small(1000, 1000);
    let winners: usize = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..200)
                        .filter(|&number| {
                            insert(&store, user(1), number, NOW, NOW).unwrap() == Freshness::Fresh
                        })
                        .count()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(winners, 200);
    assert_eq!(store.len(), 200);
}
