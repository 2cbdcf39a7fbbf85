//! Turns: what only one node of a cluster may do at a time.
//!
//! Whose turn it is stands in a bucket of its own, as a key that expires by itself: a node that is lost during its turn holds
//! up the others for a minute.

use std::time::Duration;

use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use bytes::Bytes;
use control_plane::{ClusterError, DataPlaneError};

use super::Member;

const BUCKET: &str = "UNIBUS_turn";
const KEY: &str = "certificates";
/// Longer than a turn may take.
const EXPIRES: Duration = Duration::from_mins(1);
/// How long letting go of it may take; beyond, it expires.
const RELEASE: Duration = Duration::from_secs(2);

/// This node's turn.
pub(super) struct Turn {
    bucket: kv::Store,
    revision: u64,
}

/// Begins this node's turn, or says whose it is. The caller sees to it that this process asks once at a time.
pub(super) async fn take(member: &Member) -> Result<Turn, ClusterError> {
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
