//! A stream as it was when the broker stopped: from its state entries, without reading its messages.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Committed, Stream, StreamParts, StreamState, SubjectTotals, Totals,
    totals::{SUBJECT, TOTALS},
};
use crate::jetstream::{
    clock,
    dedupe::Dedupe,
    headers::Headers,
    store::{Change, FoundStream, StoreError, StreamId, StreamStore},
    stream_config::StreamConfig,
};

/// Key of a stream's configuration among its state entries.
const CONFIG: &[u8] = b"c";

/// Messages that are read to find the ids within the duplicate window.
const MAX_DEDUPE: usize = 1 << 20;

/// Why a stream could not be recovered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream was written by a newer version, or what was written is damaged.
    #[error("the stored configuration of stream number {0} cannot be read")]
    Config(u32),
}

/// What is stored of a stream besides its messages and totals.
#[derive(Serialize, Deserialize)]
struct Stored {
    created: i64,
    config: StreamConfig,
}

impl Stream {
    /// The change that stores this configuration.
    pub(crate) fn config_change(&self, config: &StreamConfig) -> Change {
        let stored = Stored { created: self.created, config: config.clone() };
        let value = serde_json::to_vec(&stored).unwrap_or_default().into();
        Change::SetState { stream: self.id, key: CONFIG.into(), value }
    }

    /// The changes that make a new stream exist.
    pub(crate) fn creation(&self) -> Vec<Change> {
        let totals = self.totals().encode();
        vec![
            self.config_change(&self.config()),
            Change::SetState { stream: self.id, key: TOTALS.into(), value: totals },
        ]
    }

    /// Reads a stream back.
    pub(crate) fn recover(found: &FoundStream, parts: StreamParts) -> Result<Self, RecoverError> {
        let store = Arc::clone(&parts.store);
        let unreadable = || RecoverError::Config(found.stream.0);
        let stored = store.state(found.stream, CONFIG)?.ok_or_else(unreadable)?;
        let Stored { created, config } = serde_json::from_slice(&stored).map_err(|_| unreadable())?;
        let mut committed = committed(store.as_ref(), found.stream, config.first_seq.unwrap_or(1).max(1))?;
        if let Some(lost) = &found.lost {
            committed.totals.last_seq = committed.totals.last_seq.max(*lost.end());
        }
        let state = StreamState::new(committed, Dedupe::default(), 0);
        let stream = Self::with_state(found.stream, config, created, parts, state);
        stream.recover_ids()?;
        Ok(stream)
    }

    /// Puts what is stored in place of what was counted, after a group could not be written: whatever was assigned is
    /// void.
    pub(in crate::jetstream) fn reload(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let committed = committed(self.store.as_ref(), self.id, state.committed.totals.first_seq)?;
        let (dedupe, epoch) = (std::mem::take(&mut state.dedupe), state.epoch + 1);
        *state = StreamState::new(committed, dedupe, epoch);
        state.dedupe.clear();
        drop(state);
        self.recover_ids()
    }

    /// Finds the message ids within the duplicate window.
    fn recover_ids(&self) -> Result<(), StoreError> {
        let window = self.config().duplicate_window();
        let Totals { first_seq, last_seq, messages, .. } = self.totals();
        if window == 0 || messages == 0 {
            return Ok(());
        }
        let oldest = clock::now().saturating_sub(window);
        let mut ids = Vec::new();
        let mut looked_at = 0;
        self.store.scan_back(self.id, first_seq..=last_seq, &mut |seq| {
            looked_at += 1;
            let Ok(Some(record)) = self.store.get(self.id, seq) else { return ControlFlow::Continue(()) };
            if record.time < oldest || looked_at > MAX_DEDUPE {
                return ControlFlow::Break(());
            }
            if let Some(id) = Headers::of(&record).get("Nats-Msg-Id") {
                ids.push((Box::<str>::from(id), seq, record.time));
            }
            ControlFlow::Continue(())
        })?;
        let mut state = self.state.lock();
        for (id, seq, time) in ids.into_iter().rev() {
            state.dedupe.add(&id, seq, time);
        }
        Ok(())
    }
}

/// What is stored as counted.
fn committed(store: &dyn StreamStore, stream: StreamId, first: u64) -> Result<Committed, StoreError> {
    let totals = store.state(stream, TOTALS)?.and_then(|bytes| Totals::decode(&bytes));
    let totals = totals.unwrap_or(Totals {
        messages: 0,
        bytes: 0,
        first_seq: first,
        last_seq: first - 1,
        last_time: 0,
    });
    let mut subjects = BTreeMap::new();
    store.scan_state(stream, &[SUBJECT], &mut |key, value| {
        let subject = std::str::from_utf8(&key[1..]).ok();
        if let (Some(subject), Some(totals)) = (subject, SubjectTotals::decode(&value)) {
            subjects.insert(Arc::from(subject), totals);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Committed { totals, subjects })
}
