//! Nonces that every node of a cluster remembers.

mod clock;

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, Stream};
use async_trait::async_trait;
use busauth::http_signature::{HttpNonce, MAX_AHEAD_SECONDS, NONCE_LIFETIME_SECONDS};
use busauth::{Freshness, MemoryNonceStore, NonceLimits, NonceStore, NonceStoreError, UserId};
use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::elections::Elections;
use super::keys::{prefix_of, stream_of};
use super::open::{self, KvOpenError, bucket_config};
use super::publish::{Bucket, Expect, Sent, WriteId};
use crate::StoreError;
use clock::Clock;

/// How long the bucket remembers: longer than a nonce has to be, by as much as clocks may differ.
const MAX_AGE: Duration = Duration::from_secs(150);
/// The bucket takes no more than this; then requests are refused. A nonce takes some 250 bytes.
const MAX_BYTES: i64 = 512 << 20;
const PAUSE: Duration = Duration::from_millis(50);
/// The key under which is said that requests were accepted elsewhere. No user's nonce: those have two words.
const SINCE: &str = "since";

/// How the nonces are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvNonceOptions {
    /// What the name of the bucket starts with. Nodes of one bus have the same.
    pub prefix: String,
    /// How many servers keep a bucket that is made now.
    pub replicas: usize,
    /// How long a request waits for the answer; after that it is refused.
    pub budget: Duration,
    /// How long opening waits for JetStream.
    pub open_timeout: Duration,
    /// How many nonces one node lets pass.
    pub limits: NonceLimits,
}

impl Default for KvNonceOptions {
    fn default() -> Self {
        Self {
            prefix: "UNIBUS".to_owned(),
            replicas: 1,
            budget: Duration::from_secs(5),
            open_timeout: Duration::from_mins(1),
            limits: NonceLimits::default(),
        }
    }
}

/// A [`NonceStore`] in a bucket (`UNIBUS_nonces`) that the nodes of a cluster share.
///
/// A nonce is *created*: of several creations of one key JetStream stores one, whichever nodes they come from and
/// whoever leads the stream by then. When it cannot be said within the budget whether this one was stored, the request
/// is refused. The same goes for a node whose clock is not that of the bucket: half a minute may lie between them.
#[derive(Debug)]
pub struct KvNonceStore {
    bucket: Bucket,
    clock: Clock,
    budget: Duration,
    /// Nonces that passed here: most replays need no question, and nobody fills the bucket alone.
    here: MemoryNonceStore,
}

fn name(options: &KvNonceOptions) -> String {
    format!("{}_nonces", options.prefix)
}

fn config(options: &KvNonceOptions) -> Config {
    Config { max_age: MAX_AGE, max_bytes: MAX_BYTES, ..bucket_config(&name(options), options.replicas) }
}

/// The bucket, whose stream was found or made.
fn bucket(context: &Context, options: &KvNonceOptions, stream: Stream<()>) -> Bucket {
    let name = name(options);
    Bucket {
        prefix: prefix_of(&name),
        client: context.client(),
        stream,
        elections: Elections::of(context.client(), &stream_of(&name)),
    }
}

/// Until when requests were accepted elsewhere; 0 where that is long ago.
async fn since(bucket: &Bucket) -> Result<u64, KvOpenError> {
    let subject = format!("{}{SINCE}", bucket.prefix);
    match bucket.stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => {
            let text = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
            text.ok_or_else(|| KvOpenError::Corrupt {
                bucket: bucket.prefix.clone(),
                detail: format!("{SINCE} is no time"),
            })
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
        Err(error) => Err(KvOpenError::Unreachable(error.to_string())),
    }
}

impl KvNonceStore {
    /// Makes the bucket unless it exists. Done once, when a cluster is set up.
    pub async fn create_bucket(context: &Context, options: &KvNonceOptions) -> Result<(), KvOpenError> {
        let deadline = Instant::now() + options.open_timeout;
        open::find_or_make(context, config(options), deadline).await.map(drop)
    }

    /// Says that requests were accepted elsewhere until now (unix seconds), by whoever kept the nonces before: whoever
    /// opens the bucket from here on, or [looks again](Self::look_again), refuses what was signed by then. Makes the
    /// bucket unless it exists. It is remembered as long as every other nonce, which is as long as it matters.
    pub async fn begin_anew(
        context: &Context,
        options: &KvNonceOptions,
        now: u64,
    ) -> Result<(), KvOpenError> {
        let deadline = Instant::now() + options.open_timeout;
        let (stream, _) = open::find_or_make(context, config(options), deadline).await?;
        let bucket = bucket(context, options, stream);
        let stored = timeout_at(deadline, bucket.store(&SINCE, Bytes::from(now.to_string())));
        match stored.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(KvOpenError::Unreachable(error.to_string())),
            Err(_) => Err(KvOpenError::Unreachable("a nonce was not stored in time".to_owned())),
        }
    }

    /// Opens the nonces; without the bucket that is an error.
    ///
    /// Requests that were signed before the bucket was made, or [begun anew](Self::begin_anew), are refused: what had
    /// been accepted by then is not known.
    pub async fn open(mut context: Context, options: KvNonceOptions) -> Result<Self, KvOpenError> {
        let deadline = Instant::now() + options.open_timeout;
        context.set_timeout(open::REQUEST);
        let (stream, info) = open::find_made(&context, config(&options), deadline).await?;
        let made = u64::try_from(info.created.unix_timestamp()).unwrap_or(u64::MAX);
        let bucket = bucket(&context, &options, stream);
        let since = timeout_at(deadline, since(&bucket)).await;
        let since =
            since.map_err(|_| KvOpenError::Unreachable("a nonce was not read in time".to_owned()))??;
        Ok(Self {
            bucket,
            clock: Clock::new(),
            budget: options.budget,
            here: MemoryNonceStore::after_restart(options.limits, made.max(since)),
        })
    }

    /// Looks whether requests were accepted elsewhere since this was opened: a bus may have been
    /// [moved in](Self::begin_anew). What was signed by then is refused from now on.
    pub async fn look_again(&self) -> Result<(), KvOpenError> {
        let since = timeout(self.budget, since(&self.bucket)).await;
        let since =
            since.map_err(|_| KvOpenError::Unreachable("a nonce was not read in time".to_owned()))??;
        self.here.begin_anew(since);
        Ok(())
    }

    async fn create(&self, user: &UserId, nonce: &HttpNonce) -> Result<Freshness, NonceStoreError> {
        let (key, id) = (format!("{user}.{nonce}"), WriteId::random());
        let mut is_ours_possible = false;
        loop {
            let expect = Expect::LastOfKey(0);
            match self.bucket.send(&key, Bytes::from_static(b"1"), expect, id).await {
                Sent::Stored(_) => return Ok(Freshness::Fresh),
                Sent::Unexpected if !is_ours_possible => return Ok(Freshness::Seen),
                // It is there, and may be from the attempt before, whose acknowledgement was lost.
                Sent::Unexpected => return Ok(self.whose(&key, id).await),
                Sent::Refused(StoreError::Unavailable) => return Err(NonceStoreError::Full),
                Sent::Refused(error) => return Err(NonceStoreError::Unavailable(Box::new(error))),
                Sent::Unknown => is_ours_possible = true,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn whose(&self, key: &str, id: WriteId) -> Freshness {
        loop {
            let subject = format!("{}{key}", self.bucket.prefix);
            match self.bucket.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) if WriteId::of(Some(&message.headers)) == Some(id) => return Freshness::Fresh,
                Ok(_) => return Freshness::Seen,
                Err(error) => tracing::debug!(%error, "looking for a nonce goes on"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The bucket did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the bucket of nonces did not answer within {0:?}")]
struct TooLate(Duration);

#[async_trait]
impl NonceStore for KvNonceStore {
    async fn insert_if_absent(
        &self,
        user: &UserId,
        nonce: &HttpNonce,
        now: u64,
        expires: u64,
    ) -> Result<Freshness, NonceStoreError> {
        let inserted = async {
            // Before anything is remembered, or forgotten, by a clock that is wrong.
            let clock = self.clock.check(&self.bucket, now).await;
            clock.map_err(|error| NonceStoreError::Unavailable(Box::new(error)))?;
            match self.here.insert_if_absent(user, nonce, now, expires).await? {
                Freshness::Seen => Ok(Freshness::Seen),
                Freshness::Fresh => self.create(user, nonce).await,
            }
        };
        timeout(self.budget, inserted).await.unwrap_or_else(|_| {
            tracing::error!("a request is refused: the bucket of nonces did not answer in time");
            Err(NonceStoreError::Unavailable(Box::new(TooLate(self.budget))))
        })
    }
}

/// A nonce that has to be remembered for so long is remembered for longer.
const _: () =
    assert!(MAX_AGE.as_secs() >= NONCE_LIFETIME_SECONDS + MAX_AHEAD_SECONDS + clock::MAX_SKEW_SECONDS);
