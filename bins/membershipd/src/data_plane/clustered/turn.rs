//! Turns: what only one node of a cluster may do at a time.
//!
//! Whose turn it is stands in a bucket of its own, as a key that expires by itself: a node that is lost during its turn holds
//! up the others for a minute.

use std::time::{Duration, Instant};

use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use bytes::Bytes;
use control_plane::{ClusterError, DataPlaneError};

use super::Member;

const BUCKET: &str = "UNIBUS_turn";
const KEY: &str = "certificates";
/// Longer than a turn may take.
const EXPIRES: Duration = Duration::from_mins(1);
/// How long it is tried to find out whose turn it is, and how often.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(100);
/// How long letting go of it may take; beyond, it expires.
const RELEASE: Duration = Duration::from_secs(2);

/// This node's turn.
pub(super) struct Turn {
    bucket: kv::Store,
    revision: u64,
}

/// Begins this node's turn, or says whose it is. The caller sees to it that this process asks once at a time.
pub(super) async fn take(member: &Member) -> Result<Turn, ClusterError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match try_to_take(member).await {
            // Not every server knows yet where a bucket is that was made a moment ago, and it may be between two leaders.
            Err(ClusterError::DataPlane(error)) if Instant::now() < deadline => {
                tracing::debug!(%error, "whose turn it is is asked again");
                tokio::time::sleep(AGAIN).await;
            }
            taken => return taken,
        }
    }
}

async fn try_to_take(member: &Member) -> Result<Turn, ClusterError> {
    let bucket = bucket(member).await?;
    let own = member.name.to_string();
    match bucket.create(KEY, Bytes::from(own.clone())).await {
        Ok(revision) => return Ok(Turn { bucket, revision }),
        Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
        Err(error) => return Err(unknown(error)),
    }
    let entry = bucket.entry(KEY).await.map_err(unknown)?;
    let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
        return Err(ClusterError::ReloadElsewhere("another node".to_owned()));
    };
    let holder = String::from_utf8_lossy(&entry.value).into_owned();
    if holder != own {
        return Err(ClusterError::ReloadElsewhere(holder));
    }
    // Of this very node before it was started again.
    match bucket.update(KEY, Bytes::from(own), entry.revision).await {
        Ok(revision) => Ok(Turn { bucket, revision }),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
            Err(ClusterError::ReloadElsewhere("another node".to_owned()))
        }
        Err(error) => Err(unknown(error)),
    }
}

impl Turn {
    /// Lets the next node have it. Best effort: it expires.
    pub(super) async fn end(self) {
        let deleting = self.bucket.delete_expect_revision(KEY, Some(self.revision));
        match tokio::time::timeout(RELEASE, deleting).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "this node's turn was not ended, and expires"),
            Err(_) => tracing::debug!("this node's turn was not ended in time, and expires"),
        }
    }
}

async fn bucket(member: &Member) -> Result<kv::Store, ClusterError> {
    let context = async_nats::jetstream::new(member.control.clone());
    match context.get_key_value(BUCKET).await {
        Ok(bucket) => return Ok(bucket),
        Err(error) if error.kind() == KeyValueErrorKind::GetBucket => {}
        Err(error) => return Err(unknown(error)),
    }
    let config = kv::Config {
        bucket: BUCKET.to_owned(),
        max_age: EXPIRES,
        num_replicas: member.redundancy().replicas.max(1) as usize,
        ..kv::Config::default()
    };
    context.create_key_value(config).await.map_err(unknown)
}

fn unknown(error: impl std::fmt::Display) -> ClusterError {
    DataPlaneError::Unconfirmed(format!("whose turn it is cannot be found out: {error}")).into()
}
