//! Finds the buckets, or makes them, and looks whether they are as they must be.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use tokio::time::Instant;

use super::elections::Elections;
use super::keys::{Names, prefix_of, stream_of};
use super::publish::{Bucket, MAX_VALUE_BYTES};
use crate::Bound;

/// How long one request to the server may take.
pub(super) const REQUEST: Duration = Duration::from_secs(2);
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// Servers that are started together find each other within a second or two.
const TOO_FEW_PATIENCE: Duration = Duration::from_secs(10);

/// Why a store, or the nonces, cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvOpenError {
    /// The name cannot be part of a bucket's: letters, digits, `-` and `_`, at most 64.
    #[error("{0:?} cannot be the prefix of a bucket's name: use letters, digits, - and _")]
    BadPrefix(String),
    /// JetStream did not answer in time: it is not enabled for this account, has no quorum yet, or is not reached.
    #[error("JetStream does not answer: {0}")]
    Unreachable(String),
    /// A bucket that does not exist yet is to be kept by more servers than there are now.
    #[error(
        "there are fewer than {0} servers to keep the buckets now: start the others, or ask for fewer replicas"
    )]
    TooFewServers(usize),
    /// The bucket does not exist, and is not made at this point.
    #[error("there is no bucket {0}: it is made when the cluster is set up")]
    NoBucket(String),
    /// The bucket is not as this program made it; used all the same, it would lose or keep what it must not.
    #[error(
        "bucket {bucket} is not as it must be: {what}. Somebody else made or changed it: put that back, or use another prefix"
    )]
    Unfit {
        /// The bucket.
        bucket: String,
        /// What differs.
        what: &'static str,
    },
    /// What is in the bucket is not what this program, in this or an earlier version, wrote there.
    #[error(
        "bucket {bucket} is damaged: {detail}; it was left as it is. If a newer version has used it, start that one, else restore a backup"
    )]
    Corrupt {
        /// The bucket.
        bucket: String,
        /// What was found.
        detail: String,
    },
    /// The store holds more than the configured limits of the view. Raise them.
    #[error("the store holds more than {0}: raise the limit")]
    OverLimit(Bound),
}

/// The buckets of a store.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) ctl: Bucket,
    /// When the bucket that decides access was made: another one is another bus.
    pub(super) created: i128,
    pub(super) keys: Bucket,
    pub(super) audit: Bucket,
}

/// How a bucket is made, as KV buckets are everywhere.
pub(super) fn bucket_config(bucket: &str, replicas: usize) -> Config {
    Config {
        name: stream_of(bucket),
        subjects: vec![format!("{}>", prefix_of(bucket))],
        max_messages_per_subject: 1,
        max_message_size: i32::try_from(MAX_VALUE_BYTES * 2).unwrap_or(i32::MAX),
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// No bucket, but where no client is let in either: whoever may write somewhere is given subjects that begin with a
/// letter.
fn audit_config(name: &str, replicas: usize) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("{}>", prefix_of(name))],
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// Finds or makes all buckets of a store.
pub(super) async fn buckets(
    mut context: Context,
    names: &Names,
    replicas: usize,
    deadline: Instant,
) -> Result<Buckets, KvOpenError> {
    context.set_timeout(REQUEST);
    let (ctl, info) = find_or_make(&context, bucket_config(&names.ctl, replicas), deadline).await?;
    let (keys, _) = find_or_make(&context, bucket_config(&names.keys, replicas), deadline).await?;
    let (audit, _) = find_or_make(&context, audit_config(&names.audit, replicas), deadline).await?;
    let client = context.client();
    let bucket = |stream, name: &str, prefix| Bucket {
        prefix,
        client: client.clone(),
        stream,
        elections: Elections::of(client.clone(), name),
    };
    Ok(Buckets {
        ctl: bucket(ctl, &stream_of(&names.ctl), prefix_of(&names.ctl)),
        created: info.created.unix_timestamp_nanos(),
        keys: bucket(keys, &stream_of(&names.keys), prefix_of(&names.keys)),
        audit: bucket(audit, &names.audit, prefix_of(&names.audit)),
    })
}

/// Finds a stream or makes it, trying until the deadline.
pub(super) async fn find_or_make(
    context: &Context,
    wanted: Config,
    deadline: Instant,
) -> Result<(Stream<()>, Info), KvOpenError> {
    let mut too_few_since = None;
    loop {
        let reason = match find(context, &wanted.name).await {
            Ok(Some(info)) => return checked(context, &wanted, info).await,
            Ok(None) => match context.create_stream(wanted.clone()).await {
                // Another node may have made it, and the answer may be old: found again, it is there for all.
                Ok(made) => return checked(context, &wanted, made.cached_info().clone()).await,
                Err(error) if is_too_few_servers(error.kind()) => {
                    let since = too_few_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > TOO_FEW_PATIENCE {
                        return Err(KvOpenError::TooFewServers(wanted.num_replicas));
                    }
                    error.to_string()
                }
                Err(error) => error.to_string(),
            },
            Err(reason) => reason,
        };
        if Instant::now() + PAUSE > deadline {
            return Err(match too_few_since {
                Some(_) => KvOpenError::TooFewServers(wanted.num_replicas),
                None => KvOpenError::Unreachable(reason),
            });
        }
        tracing::debug!(reason, stream = wanted.name, "waiting for JetStream");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Finds a stream, trying until the deadline.
pub(super) async fn find_made(
    context: &Context,
    wanted: Config,
    deadline: Instant,
) -> Result<(Stream<()>, Info), KvOpenError> {
    loop {
        let reason = match find(context, &wanted.name).await {
            Ok(Some(info)) => return checked(context, &wanted, info).await,
            Ok(None) => return Err(KvOpenError::NoBucket(wanted.name)),
            Err(reason) => reason,
        };
        if Instant::now() + PAUSE > deadline {
            return Err(KvOpenError::Unreachable(reason));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a bucket of a store is there.
pub(super) async fn exists(context: &Context, names: &Names) -> Result<bool, KvOpenError> {
    for name in [stream_of(&names.ctl), stream_of(&names.keys), names.audit.clone()] {
        if find(context, &name).await.map_err(KvOpenError::Unreachable)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The servers that are there are fewer than the copies asked for.
fn is_too_few_servers(kind: CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::CLUSTER_NO_PEERS)
}

/// Finds a stream as it is.
pub(super) async fn find_stream(context: &Context, name: &str) -> Result<Option<Stream>, KvOpenError> {
    look_for(context, name).await.map_err(KvOpenError::Unreachable)
}

async fn find(context: &Context, name: &str) -> Result<Option<Info>, String> {
    Ok(look_for(context, name).await?.map(|stream| stream.cached_info().clone()))
}

async fn look_for(context: &Context, name: &str) -> Result<Option<Stream>, String> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(error.to_string()),
        },
    }
}

async fn checked(context: &Context, wanted: &Config, info: Info) -> Result<(Stream<()>, Info), KvOpenError> {
    let there = &info.config;
    let differs = [
        (there.subjects != wanted.subjects, "it has other subjects"),
        (
            there.max_messages_per_subject.max(0) != wanted.max_messages_per_subject,
            "it keeps another number of revisions",
        ),
        (there.max_age != wanted.max_age, "its messages live for another time"),
        (there.discard != wanted.discard, "it forgets old messages when it is full"),
        (there.storage != wanted.storage, "it is not kept in files"),
        (there.retention != RetentionPolicy::Limits, "it forgets messages that were read"),
        (there.deny_purge != wanted.deny_purge, "it can be purged, or cannot"),
        (!there.deny_delete, "single messages can be deleted from it"),
        (there.no_ack, "it does not acknowledge"),
        (there.mirror.is_some() || there.sources.is_some(), "it copies another"),
        (there.subject_transform.is_some(), "it changes subjects"),
        (
            there.allow_message_ttl != wanted.allow_message_ttl,
            "messages in it can end by themselves, or cannot",
        ),
    ];
    if let Some((_, what)) = differs.into_iter().find(|(differs, _)| *differs) {
        return Err(KvOpenError::Unfit { bucket: wanted.name.clone(), what });
    }
    let stream = context.get_stream_no_info(&wanted.name).await;
    let stream = stream.map_err(|error| KvOpenError::Unreachable(error.to_string()))?;
    Ok((stream, info))
}
