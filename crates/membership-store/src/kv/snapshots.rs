//! Snapshots of rooms' states, so that reading a room never means replaying a long log.
//!
//! They are a convenience: one that is missing, torn or older than another costs time, nothing else. What follows a
//! snapshot is checked against it entry by entry, and the end against the head that the view knows.

use std::sync::Arc;

use bytes::Bytes;
use room_protocol::{RoomId, RoomState};

use super::Inner;
use super::messages::SnapshotMessage;
use super::publish::WriteId;
use crate::error::job_ended;
use crate::{StoreError, record, rules};

/// How much of a snapshot is in one message.
const PART_BYTES: usize = 128 << 10;
/// A room of 10,000 members takes some 40 parts.
const MAX_PARTS: usize = 1_024;

fn part_key(room: &RoomId, part: usize) -> String {
    format!("state.{room}.{part}")
}

impl Inner {
    /// Writes a snapshot beside everything else, when so many entries have come since the last.
    pub(super) fn snapshot_if_due(self: &Arc<Self>, state: &Arc<RoomState>) {
        if !state.head().seq.is_multiple_of(rules::snapshot_interval(state)) {
            return;
        }
        let Ok(permit) = self.snapshots.clone().try_acquire_owned() else { return };
        let (store, state) = (self.clone(), state.clone());
        self.writes.spawn(async move {
            let _permit = permit;
            let written = tokio::time::timeout(store.options.write_timeout, store.put_snapshot(&state)).await;
            if !matches!(written, Ok(Ok(()))) {
                tracing::warn!(room = %state.id(), "a snapshot of a room was not written");
            }
        });
    }

    /// Writes a snapshot.
    pub(super) async fn put_snapshot(&self, state: &Arc<RoomState>) -> Result<(), StoreError> {
        let encoded = state.clone();
        let text = tokio::task::spawn_blocking(move || record::encode_state(&encoded)).await;
        let text = text.map_err(|error| job_ended(&error))??;
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
            pieces.push(piece);
            rest = after;
        }
        if pieces.len() > MAX_PARTS {
            return Ok(());
        }
        let id = WriteId::random().to_string();
        let parts = u16::try_from(pieces.len()).unwrap_or(u16::MAX);
        for (n, piece) in pieces.into_iter().enumerate() {
            let message = SnapshotMessage { id: id.clone(), parts, text: piece.to_owned() };
            let value = Bytes::from(record::encode(&message)?);
            self.buckets.keys.store(&part_key(&state.id(), n), value).await?;
        }
        Ok(())
    }

    /// The room's state as of some earlier entry, if there is a whole snapshot.
    pub(super) async fn snapshot(&self, room: &RoomId) -> Result<Option<Arc<RoomState>>, StoreError> {
        let mut text = String::new();
        let mut first: Option<(String, u16)> = None;
        for n in 0..MAX_PARTS {
            let Some(value) = self.buckets.keys.get(&part_key(room, n)).await? else { return Ok(None) };
            // Of a newer program, perhaps, while the nodes are being updated one after the other.
            let Ok(message) = record::decode::<SnapshotMessage>(&value.text) else {
                return Ok(unreadable(room));
            };
            let (id, parts) = first.get_or_insert((message.id.clone(), message.parts));
            if *id != message.id {
                return Ok(None);
            }
            text.push_str(&message.text);
            if n + 1 >= usize::from(*parts) {
                break;
            }
        }
        let (room, decoded) = (*room, tokio::task::spawn_blocking(move || record::decode_state(&text)).await);
        match decoded {
            Ok(Ok(state)) if state.id() == room => Ok(Some(Arc::new(state))),
            _ => Ok(unreadable(&room)),
        }
    }
}

fn unreadable(room: &RoomId) -> Option<Arc<RoomState>> {
    tracing::warn!(%room, "the snapshot of a room cannot be read; its whole log is");
    None
}
