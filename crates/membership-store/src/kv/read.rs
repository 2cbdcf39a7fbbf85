//! What is read from the buckets because it is not in memory.
//!
//! Reads are answered by the leader of a stream, and one that was cut off may lag behind. What the view knows to be
//! there is asked for again until it is; nothing that is read here decides access.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::RawMessageErrorKind;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use room_protocol::{RoomId, RoomState, SignedStatement};
use tokio::time::timeout;

use super::Inner;
use super::keys::Key;
use super::messages::EntryMessage;
use super::publish::Bucket;
use crate::error::{damaged, job_ended};
use crate::record::{self, TombstoneRecord};
use crate::rules::LOG_PAGE_BYTES;
use crate::{Page, StoreError, Tombstone};

/// How many requests of one read are under way together.
pub(super) const AT_ONCE: usize = 16;
/// How long a read goes on asking.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// A value that was read.
pub(super) struct Value {
    pub(super) revision: u64,
    pub(super) text: String,
}

impl Bucket {
    /// The value of a key, if it has one.
    pub(super) async fn get(
        &self,
        key: &(dyn std::fmt::Display + Sync),
    ) -> Result<Option<Value>, StoreError> {
        let subject = format!("{}{key}", self.prefix);
        let answer = timeout(READ_TIMEOUT, async {
            loop {
                match self.stream.get_last_raw_message_by_subject(&subject).await {
                    Ok(message) => break Some(message),
                    Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break None,
                    Err(error) => {
                        tracing::debug!(%error, %subject, "a read of the membership store goes on");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        let Ok(answer) = answer.await else {
            tracing::error!("a read of the membership store was not answered in time");
            return Err(StoreError::Unavailable);
        };
        let Some(message) = answer else { return Ok(None) };
        let text = String::from_utf8(message.payload.to_vec()).map_err(|error| damaged(&error))?;
        Ok(Some(Value { revision: message.sequence, text }))
    }

    /// The value of a key that has one.
    pub(super) async fn get_known(&self, key: &(dyn std::fmt::Display + Sync)) -> Result<String, StoreError> {
        let key = key.to_string();
        let value = timeout(READ_TIMEOUT, async {
            loop {
                match self.get(&key).await? {
                    Some(value) => return Ok(value.text),
                    None => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        value.await.unwrap_or_else(|_| {
            tracing::error!(key, "what is in the view cannot be read from the bucket");
            Err(StoreError::Unavailable)
        })
    }
}

impl Inner {
    /// The message of an entry that is in the log.
    pub(super) async fn entry_text(&self, room: &RoomId, seq: u64) -> Result<String, StoreError> {
        self.buckets.ctl.get_known(&Key::Entry(*room, seq)).await
    }

    /// An entry that is in the log.
    pub(super) async fn entry(&self, room: &RoomId, seq: u64) -> Result<String, StoreError> {
        Ok(record::decode::<EntryMessage>(&self.entry_text(room, seq).await?)?.jws)
    }

    /// Entries from `from` on; of a deleted room, its last.
    pub(super) async fn log(
        &self,
        room: &RoomId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let Some(access) = self.memory.view.room(room) else {
            let tombstone = self.tombstone(room).await?;
            return Ok(if tombstone.head.seq >= from { vec![tombstone.last] } else { Vec::new() });
        };
        let first = from.max(1);
        let last = access.head.seq.min(first.saturating_add(Page::<u64>::first(limit).size() as u64 - 1));
        let reads = (first..=last).map(|seq| self.entry(room, seq));
        let mut entries = stream::iter(reads).buffered(AT_ONCE);
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < LOG_PAGE_BYTES as usize
            && let Some(entry) = entries.next().await
        {
            let entry = match entry {
                // Deleted while it was read.
                Err(_) if self.memory.view.room(room).is_none() => return Err(StoreError::NotFound),
                entry => entry?,
            };
            bytes += entry.len();
            page.push(entry);
        }
        Ok(page)
    }

    /// A room's state as of the view: what is in memory or in a snapshot, and the entries after it.
    pub(super) async fn state(&self, room: &RoomId) -> Result<Arc<RoomState>, StoreError> {
        let access = self.memory.view.room(room).ok_or(StoreError::NotFound)?;
        let head = access.head;
        if let Some(state) = self.memory.states.get(room, &head) {
            return Ok(state);
        }
        let known = self.memory.states.latest(room).filter(|state| state.head().seq < head.seq);
        let known = match known {
            Some(state) => Some(state),
            None => self.snapshot(room).await?.filter(|state| state.head().seq <= head.seq),
        };
        let after = known.as_ref().map_or(0, |state| state.head().seq);
        let reads = (after + 1..=head.seq).map(|seq| self.entry(room, seq));
        let entries: Vec<String> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        // Parsing thousands of keys and checking signatures takes milliseconds.
        let state = tokio::task::spawn_blocking(move || replay(known.as_deref(), &entries)).await;
        let state = Arc::new(state.map_err(|error| job_ended(&error))??);
        if state.head() != head {
            return Err(damaged(&format_args!("the log of room {room} does not end at its head")));
        }
        self.memory.states.put(state.clone());
        Ok(state)
    }

    /// What stays of a deleted room.
    pub(super) async fn tombstone(&self, room: &RoomId) -> Result<Tombstone, StoreError> {
        if !self.memory.index.read().is_deleted(room) {
            return Err(StoreError::NotFound);
        }
        let text = self.buckets.ctl.get_known(&Key::Deleted(*room)).await?;
        Ok(record::decode::<TombstoneRecord>(&text)?.into())
    }
}

fn replay(known: Option<&RoomState>, entries: &[String]) -> Result<RoomState, StoreError> {
    let mut state = known.cloned();
    for jws in entries {
        let entry: SignedStatement = jws.parse().map_err(|error| damaged(&error))?;
        let next = match &state {
            None => RoomState::open(&entry),
            Some(state) => state.apply(&entry),
        };
        state = Some(next.map_err(|violation| damaged(&violation))?);
    }
    state.ok_or_else(|| damaged(&"a room's log is empty"))
}
