//! Finds or makes the bucket.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use tokio::time::Instant;

use super::JetStreamOptions;
use super::bucket::{Bucket, HEADER_BYTES, LARGEST_CHUNK};
use super::layout::Names;

/// A smaller message is mostly its own headers.
const SMALLEST_CHUNK: usize = 4 << 10;
/// How long one request waits to be answered, unless patience ends before.
const ATTEMPT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Why a store cannot be opened. Nothing was changed in what it holds.
#[derive(Debug, thiserror::Error)]
pub enum JetStreamOpenError {
    /// A bucket cannot be called so.
    #[error("{0:?} cannot name a bucket: 1 to 64 letters, digits, _ or -")]
    BadName(String),
    /// JetStream did not answer in time, or did not make the bucket.
    #[error("the file store cannot be reached: {0}")]
    Unreachable(String),
    /// The bucket is not as this program made it; used all the same, it would lose or keep what it must not.
    #[error(
        "bucket {bucket} is not as it must be: {what}. Somebody else made or changed it: put that back, or use another bucket"
    )]
    Unfit {
        /// The bucket.
        bucket: String,
        /// What differs.
        what: &'static str,
    },
    /// The server takes no messages that a piece of a file would fit into.
    #[error("the NATS server takes messages of at most {0} bytes: raise its max_payload")]
    SmallPayload(usize),
}

/// Whether there is a bucket.
pub(super) async fn exists(
    context: &Context,
    options: &JetStreamOptions,
) -> Result<bool, JetStreamOpenError> {
    let names =
        Names::new(&options.bucket).ok_or_else(|| JetStreamOpenError::BadName(options.bucket.clone()))?;
    match context.get_stream(&names.stream).await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error.kind()) => Ok(false),
        Err(error) => Err(JetStreamOpenError::Unreachable(error.to_string())),
    }
}

/// Finds the bucket, or makes it.
pub(super) async fn bucket(
    mut context: Context,
    options: &JetStreamOptions,
) -> Result<Bucket, JetStreamOpenError> {
    let names =
        Names::new(&options.bucket).ok_or_else(|| JetStreamOpenError::BadName(options.bucket.clone()))?;
    let attempt = ATTEMPT.min(options.patience);
    context.set_timeout(attempt);
    let wanted = Config {
        name: names.stream.clone(),
        subjects: names.subjects(),
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: options.replicas,
        max_bytes: options.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        allow_rollup: true,
        allow_direct: true,
        ..Config::default()
    };
    let deadline = Instant::now() + options.patience;
    let info = find_or_make(&context, &wanted, deadline).await?;
    if let Some(what) = unfit(&info, &wanted) {
        return Err(JetStreamOpenError::Unfit { bucket: names.bucket, what });
    }
    let client = context.client();
    let payload = client.max_payload();
    let chunk = payload.saturating_sub(HEADER_BYTES).min(LARGEST_CHUNK) / 1_024 * 1_024;
    if chunk < SMALLEST_CHUNK {
        return Err(JetStreamOpenError::SmallPayload(payload));
    }
    let stream = context.get_stream_no_info(&names.stream).await;
    let stream = stream.map_err(|error| JetStreamOpenError::Unreachable(error.to_string()))?;
    Ok(Bucket { names, client, stream, chunk, attempt, patience: options.patience })
}

/// Finds the stream or makes it, trying until the deadline.
async fn find_or_make(
    context: &Context,
    wanted: &Config,
    deadline: Instant,
) -> Result<Info, JetStreamOpenError> {
    loop {
        let reason = match context.get_stream(&wanted.name).await {
            Ok(stream) => return Ok(stream.cached_info().clone()),
            Err(error) if is_missing(&error.kind()) => match context.create_stream(wanted.clone()).await {
                Ok(made) => return Ok(made.cached_info().clone()),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() + PAUSE > deadline {
            return Err(JetStreamOpenError::Unreachable(reason));
        }
        tracing::debug!(reason, stream = wanted.name, "waiting for JetStream");
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What differs from what it must be.
fn unfit(info: &Info, wanted: &Config) -> Option<&'static str> {
    let there = &info.config;
    let differs = [
        (there.subjects != wanted.subjects, "it has other subjects"),
        (there.max_messages > 0 || there.max_messages_per_subject > 0, "it keeps a number of messages only"),
        (!there.max_age.is_zero(), "its messages end by themselves"),
        (there.discard != DiscardPolicy::New, "it forgets old messages when it is full"),
        (there.storage != StorageType::File, "it is not kept in files"),
        (there.retention != RetentionPolicy::Limits, "it forgets messages that were read"),
        (there.deny_purge || there.deny_delete, "nothing can be deleted from it"),
        (!there.allow_rollup, "messages in it cannot be replaced"),
        (!there.allow_direct, "it cannot be read directly"),
        (there.no_ack, "it does not acknowledge"),
        (there.mirror.is_some() || there.sources.is_some(), "it copies another"),
        (there.subject_transform.is_some(), "it changes subjects"),
        (there.sealed, "it is sealed"),
    ];
    differs.into_iter().find_map(|(differs, what)| differs.then_some(what))
}
