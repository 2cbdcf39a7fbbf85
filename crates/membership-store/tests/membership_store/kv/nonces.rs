//! Nonces that several nodes share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busauth::http_signature::{HttpNonce, NONCE_LIFETIME_SECONDS};
use busauth::{Freshness, NonceLimits, NonceStore, NonceStoreError, UserId};
use futures_util::future::join_all;
use membership_store::{KvNonceOptions, KvNonceStore, KvOpenError};
use nats_testkit::{PATIENCE, Proxy, Servers, connect};

use crate::people::Person;

/// Well past the time in which the bucket cannot know what was accepted before it.
fn later() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() + 20
}

async fn insert(
    store: &KvNonceStore,
    user: &UserId,
    nonce: &HttpNonce,
) -> Result<Freshness, NonceStoreError> {
    store.insert_if_absent(user, nonce, later(), later() + NONCE_LIFETIME_SECONDS).await
}

async fn is_fresh(store: &KvNonceStore, user: &UserId, nonce: &HttpNonce) -> bool {
    insert(store, user, nonce).await.expect("an answer") == Freshness::Fresh
}

fn options(servers: &Servers) -> KvNonceOptions {
    KvNonceOptions { replicas: servers.replicas(), budget: PATIENCE, ..KvNonceOptions::default() }
}

async fn open(servers: &Servers, node: usize) -> KvNonceStore {
    KvNonceStore::open(servers.connect(node).await, options(servers)).await.expect("the nonces open")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_that_one_node_accepted_is_refused_by_all_also_after_the_leader_is_gone() {
    let Some(servers) = Servers::nats(3).await else { return };
    let context = servers.connect(0).await;
    KvNonceStore::create_bucket(&context, &options(&servers)).await.expect("the bucket");
    let nodes = [open(&servers, 0).await, open(&servers, 1).await, open(&servers, 2).await];
    let user = Person::number(1).identity.id();
    let used: Vec<HttpNonce> = (0..20).map(|_| HttpNonce::random()).collect();
    for (n, nonce) in used.iter().enumerate() {
        assert!(is_fresh(&nodes[n % 3], &user, nonce).await);
        for node in &nodes {
            assert!(!is_fresh(node, &user, nonce).await, "it was used on another node");
        }
    }
    let race = HttpNonce::random();
    let raced = join_all(nodes.iter().map(|node| is_fresh(node, &user, &race))).await;
    assert_eq!(raced.iter().filter(|fresh| **fresh).count(), 1, "{raced:?}");

    // A node that has not seen these itself, so that the bucket has to answer.
    let leader = servers.cluster().leader_of(&context, "KV_UNIBUS_nonces").await;
    let other = (leader + 1) % 3;
    let newcomers = [open(&servers, other).await, open(&servers, (leader + 2) % 3).await];
    let last = HttpNonce::random();
    assert!(is_fresh(&nodes[other], &user, &last).await);
    servers.cluster().kill(leader).await;
    for nonce in used.iter().chain([&last]) {
        for node in &newcomers {
            assert!(!is_fresh(node, &user, nonce).await, "it was used before the leader was killed");
        }
    }
    assert!(is_fresh(&newcomers[0], &user, &HttpNonce::random()).await, "others pass again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_bucket_the_nonces_do_not_open() {
    let servers = Servers::embedded().await;
    let refused = KvNonceStore::open(servers.connect(0).await, options(&servers)).await;
    assert!(matches!(refused, Err(KvOpenError::NoBucket(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_forgets_earlier_is_not_used() {
    let servers = Servers::embedded().await;
    let context = servers.connect(0).await;
    KvNonceStore::create_bucket(&context, &options(&servers)).await.expect("the bucket");
    let mut config = context.get_stream("KV_UNIBUS_nonces").await.expect("it").cached_info().config.clone();
    config.max_age = Duration::from_secs(30);
    config.duplicate_window = Duration::from_secs(10);
    context.update_stream(config).await.expect("somebody changed it");
    let refused = KvNonceStore::open(context, options(&servers)).await;
    assert!(matches!(refused, Err(KvOpenError::Unfit { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_a_request_is_refused() {
    let servers = Servers::embedded().await;
    KvNonceStore::create_bucket(&servers.connect(0).await, &options(&servers)).await.expect("the bucket");
    let proxy = Proxy::before(servers.addresses(0)[0]).await;
    let context = async_nats::jetstream::new(connect(&[proxy.address]).await);
    let hasty = KvNonceOptions { budget: Duration::from_millis(300), ..options(&servers) };
    let store = KvNonceStore::open(context, hasty).await.expect("the nonces open");
    let (user, nonce) = (Person::number(1).identity.id(), HttpNonce::random());
    // It knows what time it is.
    assert!(is_fresh(&store, &user, &HttpNonce::random()).await);
    proxy.hold_answers();
    let refused = insert(&store, &user, &nonce).await;
    assert!(matches!(refused, Err(NonceStoreError::Unavailable(_))), "{refused:?}");
    proxy.pass();
    assert!(!is_fresh(&store, &user, &nonce).await, "it was sent, and is used up");
    assert!(is_fresh(&store, &user, &HttpNonce::random()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_signed_before_the_bucket_was_made_is_refused() {
    let servers = Servers::embedded().await;
    let context = servers.connect(0).await;
    KvNonceStore::create_bucket(&context, &options(&servers)).await.expect("the bucket");
    let store =
        KvNonceStore::open(context, KvNonceOptions { limits: NonceLimits::default(), ..options(&servers) });
    let store = store.await.expect("the nonces open");
    let (user, nonce) = (Person::number(1).identity.id(), HttpNonce::random());
    let created = later() - 30;
    let refused = store.insert_if_absent(&user, &nonce, later() - 20, created + NONCE_LIFETIME_SECONDS).await;
    assert!(matches!(refused, Err(NonceStoreError::Forgotten { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_elsewhere_until_a_move_is_refused_by_an_older_bucket() {
    let servers = Servers::embedded().await;
    let context = servers.connect(0).await;
    let (user, nonce) = (Person::number(1).identity.id(), HttpNonce::random());
    // Signed and accepted elsewhere long after the bucket was made, and just before the move.
    let created = later();
    let replay = async |store: KvNonceStore| {
        store.insert_if_absent(&user, &nonce, created + 1, created + NONCE_LIFETIME_SECONDS).await
    };
    KvNonceStore::create_bucket(&context, &options(&servers)).await.expect("the bucket");
    // Opened before, by a daemon that runs already.
    let earlier = open(&servers, 0).await;
    KvNonceStore::begin_anew(&context, &options(&servers), created).await.expect("noted");
    earlier.look_again().await.expect("a look");
    for store in [earlier, open(&servers, 0).await] {
        let refused = replay(store).await;
        assert!(matches!(refused, Err(NonceStoreError::Forgotten { .. })), "{refused:?}");
    }
    let store = open(&servers, 0).await;
    let at = created + 8;
    let fresh = store.insert_if_absent(&user, &HttpNonce::random(), at, at + NONCE_LIFETIME_SECONDS).await;
    assert_eq!(fresh.expect("an answer"), Freshness::Fresh, "what is signed later passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_wrong_takes_no_requests_until_it_is_right() {
    let servers = Servers::embedded().await;
    KvNonceStore::create_bucket(&servers.connect(0).await, &options(&servers)).await.expect("the bucket");
    let store = open(&servers, 0).await;
    let user = Person::number(1).identity.id();
    assert!(is_fresh(&store, &user, &HttpNonce::random()).await);
    for wrong in [later() - 3600, later() - 120, later() + 120, later() + 3600] {
        let nonce = HttpNonce::random();
        let refused = store.insert_if_absent(&user, &nonce, wrong, wrong + NONCE_LIFETIME_SECONDS).await;
        assert!(matches!(refused, Err(NonceStoreError::Unavailable(_))), "{wrong}: {refused:?}");
        assert!(is_fresh(&store, &user, &nonce).await, "nothing was remembered, nor forgotten");
    }
}
