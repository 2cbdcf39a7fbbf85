//! A stream as it was when the broker stopped: from its state entries, without reading its messages.

use std::{
    collections::BTreeMap,
    num::NonZero,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use serde::{Deserialize, Serialize};

use super::{
    Committed, Stream, StreamParts, StreamState, SubjectTotals, Totals,
    totals::{TOTALS, message_bytes},
};
use crate::jetstream::{
    clock,
    dedupe::Dedupe,
    headers::Headers,
    store::{Change, FoundStream, Seq, StoreError, StreamId, StreamStore, only},
    stream_config::{Storage, StreamConfig},
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
    /// The same of a consumer. Without it, messages that it waits for would be deleted.
    #[error("the stored configuration of consumer {0:?} cannot be read: use the version that wrote it")]
    Consumer(String),
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

    /// The name of a stream, also where nothing else of its configuration is understood.
    pub(crate) fn stored_name(store: &dyn StreamStore, stream: StreamId) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            config: Name,
        }
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        let stored = store.state(stream, CONFIG).ok().flatten()?;
        serde_json::from_slice::<Named>(&stored).ok().map(|named| named.config.name)
    }

    /// Reads a stream back. After damage it is counted again; the changes that store what was counted are answered too.
    pub(crate) fn recover(
        found: &FoundStream,
        parts: StreamParts,
    ) -> Result<(Self, Vec<Change>), RecoverError> {
        let store = Arc::clone(&parts.store);
        let Stored { created, config } = stored(store.as_ref(), found.stream)?;
        let first = config.first_seq.unwrap_or(1).max(1);
        let mut committed = committed(store.as_ref(), found.stream, first)?;
        let mut repairs = Vec::new();
        if found.recount || found.lost.is_some() {
            let lost = found.lost.as_ref().map_or(0, |lost| *lost.end());
            let last = committed.totals.last_seq.max(lost);
            let counted = recount(store.as_ref(), found.stream, config.storage, first, last)?;
            let before = std::mem::replace(&mut committed, counted.committed);
            repairs = committed.corrections(&before, found.stream);
            repairs.extend(counted.to_list);
        }
        let state = StreamState::new(committed, Dedupe::default());
        let stream = Self::with_state(found.stream, config, created, parts, state);
        let ids = stream.stored_ids(&stream.config(), stream.totals())?;
        let last = stream.last_id(stream.totals().last_seq)?;
        {
            let mut state = stream.state.lock();
            state.dedupe.add_all(ids);
            state.assigned.last_msg_id = last;
        }
        Ok((stream, repairs))
    }

    /// Puts what is stored in place of what was decided, after a group could not be written: whatever was assigned is
    /// void, and so is a configuration that was not stored. What readers see stays as it is. Nothing is taken before it has
    /// succeeded.
    pub(in crate::jetstream) fn reload(&self) -> Result<(), RecoverError> {
        {
            // Read without the lock, which publishers need; they are refused meanwhile.
            let mut state = self.state.lock();
            state.is_reloading = true;
            self.epoch.fetch_add(1, SeqCst);
        }
        let Stored { config, .. } = stored(self.store.as_ref(), self.id)?;
        let first = self.committed_totals().first_seq;
        let committed = committed(self.store.as_ref(), self.id, first)?;
        let ids = self.stored_ids(&config, committed.totals)?;
        let last = self.last_id(committed.totals.last_seq)?;
        self.set_config(Arc::new(config));
        self.look_at_all_ages();
        let mut state = self.state.lock();
        self.tail.clear();
        let before = state.bytes();
        let promised = std::mem::take(&mut state.promised);
        let (was_purged, shown, shown_subjects) = (state.was_purged, state.shown, state.shown_subjects);
        // What was not synced does not show yet.
        *state = StreamState {
            shown,
            shown_subjects,
            was_purged,
            ..StreamState::new(committed, Dedupe::default())
        };
        state.promised = promised;
        state.keep_promises();
        state.dedupe.add_all(ids);
        state.assigned.last_msg_id = last;
        self.usage.subtract(self.storage, before);
        self.usage.add(self.storage, state.bytes());
        Ok(())
    }

    /// Whatever was assigned is void, and nothing of it is written: so what is committed is as it was, and nothing has to be
    /// read back but an id. For the committer.
    pub(in crate::jetstream) fn void_assigned(&self) {
        // The committer alone changes what is committed.
        let last = self.committed_totals().last_seq;
        let last_id = self.last_id(last).unwrap_or_else(|error| {
            tracing::error!(stream = %self.name, %error, "who expects a last message id is refused");
            None
        });
        let mut state = self.state.lock();
        self.epoch.fetch_add(1, SeqCst);
        self.usage.subtract(self.storage, state.assigned.bytes);
        state.void_assigned(last_id);
    }

    /// The messages that are committed and do not show.
    pub(in crate::jetstream) fn unshown(&self) -> Vec<(Seq, Arc<str>)> {
        let (from, to) = {
            let state = self.state.lock();
            (state.shown.last_seq.saturating_add(1), state.committed.totals.last_seq)
        };
        let mut unshown = Vec::new();
        if from > to {
            return unshown;
        }
        let scanned = self.store.scan(self.id, from..=to, &mut |seq, record| {
            unshown.extend(record.ok().map(|record| (seq, record.subject)));
            ControlFlow::Continue(())
        });
        if let Err(error) = scanned {
            tracing::error!(stream = %self.name, %error, "consumers count too little until they have read on");
        }
        unshown
    }

    /// The message id of the last message.
    fn last_id(&self, last: Seq) -> Result<Option<Box<str>>, StoreError> {
        // One that cannot be read has none to show.
        let record = match self.store.get(self.id, last) {
            Err(StoreError::Damaged { .. }) => None,
            record => record?,
        };
        Ok(record.and_then(|record| Headers::of(&record).get("Nats-Msg-Id").map(Into::into)))
    }

    /// The message ids within the duplicate window, oldest first.
    fn stored_ids(
        &self,
        config: &StreamConfig,
        totals: Totals,
    ) -> Result<Vec<(Box<str>, Seq, i64)>, StoreError> {
        let window = config.duplicate_window();
        let Totals { first_seq, last_seq, messages, .. } = totals;
        let mut ids = Vec::new();
        if window == 0 || messages == 0 {
            return Ok(ids);
        }
        let oldest = clock::now().saturating_sub(window);
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
        ids.reverse();
        Ok(ids)
    }
}

fn stored(store: &dyn StreamStore, stream: StreamId) -> Result<Stored, RecoverError> {
    let unreadable = || RecoverError::Config(stream.0);
    let stored = store.state(stream, CONFIG)?.ok_or_else(unreadable)?;
    serde_json::from_slice(&stored).map_err(|_| unreadable())
}

/// What was counted.
struct Counted {
    committed: Committed,
    /// Messages that are to be listed in the index of subjects, and are not.
    to_list: Vec<Change>,
}

/// Counts what is there, message by message.
fn recount(
    store: &dyn StreamStore,
    stream: StreamId,
    storage: Storage,
    first: Seq,
    last: Seq,
) -> Result<Counted, StoreError> {
    let totals = Totals { messages: 0, bytes: 0, first_seq: first, last_seq: 0, last_time: 0 };
    let mut committed = Committed { totals, subjects: BTreeMap::new() };
    let (mut damaged, mut to_list, mut failed) = (0_u64, Vec::new(), None);
    store.scan(stream, 1..=Seq::MAX, &mut |seq, record| {
        let Ok(record) = record else {
            damaged += 1;
            return ControlFlow::Continue(());
        };
        let subject = &record.subject;
        committed.add(seq, subject, record.time, message_bytes(storage, &record));
        let is_listed = match store.last_of_subject(stream, subject, seq..=seq) {
            Ok(listed) => listed.is_some(),
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        let Some(totals) = committed.subjects.get_mut(subject) else { return ControlFlow::Continue(()) };
        if totals.count == 1 {
            totals.unlisted = totals.unlisted.filter(|_| !is_listed);
        } else {
            let late = totals.unlisted.take().map(NonZero::get);
            let late = late.into_iter().chain((!is_listed).then_some(seq));
            to_list.extend(late.map(|seq| Change::List { stream, seq, subject: Arc::clone(subject) }));
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if damaged > 0 {
        tracing::error!(stream = stream.0, damaged, "messages cannot be read");
    }
    committed.jump(last.saturating_add(1));
    committed.totals.first_seq = committed.totals.first_seq.max(1);
    Ok(Counted { committed, to_list })
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
    store.scan_state(stream, &[only::SUBJECT], &mut |key, value| {
        let subject = std::str::from_utf8(&key[1..]).ok();
        if let (Some(subject), Some(totals)) = (subject, SubjectTotals::decode(&value)) {
            subjects.insert(Arc::from(subject), totals);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Committed { totals, subjects })
}

impl Committed {
    /// The changes that store these totals where others are stored.
    fn corrections(&self, stored: &Self, stream: StreamId) -> Vec<Change> {
        let gone = stored.subjects.keys().filter(|subject| !self.subjects.contains_key(*subject));
        let gone = gone.map(|subject| Change::ClearState { stream, key: only::key(subject) });
        let other =
            self.subjects.iter().filter(|(subject, totals)| stored.subjects.get(*subject) != Some(totals));
        let other = other.map(|(subject, totals)| Change::SetState {
            stream,
            key: only::key(subject),
            value: totals.encode(),
        });
        gone.chain(other).chain([self.totals.change(stream)]).collect()
    }
}
