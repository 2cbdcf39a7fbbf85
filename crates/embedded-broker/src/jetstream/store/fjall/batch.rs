//! One atomic batch out of the changes of one call.
//!
//! The engine gives all entries of a batch the same number, and two entries of one key and one number have no order. So a
//! batch holds each key once: as the last change left it.

use super::{
    engine::{Engine, STATE},
    keys,
    record::{self, Salt, Unstorable},
};
use crate::jetstream::store::{Change, Record, Seq, StreamId};
use fjall::{OwnedWriteBatch, PersistMode, UserKey};
use foldhash::{HashSet, HashSetExt as _};

/// Version of [`Head`] as bytes.
const VERSION: u8 = 1;

/// First entry of every batch. It makes a journal checkable from the outside: batches are numbered without gaps, and
/// what the engine numbers them with is bound to a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of the batch: one more than that of the batch before.
    pub(super) number: u64,
    /// The engine's own number of this batch is at least this, and not much more.
    pub(super) engine_number: u64,
}

impl Head {
    pub(super) fn key() -> Vec<u8> {
        keys::state(keys::OWN, keys::HEAD)
    }

    pub(super) fn encode(self, salt: Salt) -> Vec<u8> {
        let mut value = vec![VERSION];
        value.extend_from_slice(&self.number.to_le_bytes());
        value.extend_from_slice(&self.engine_number.to_le_bytes());
        record::seal(salt, &Self::key(), &value)
    }

    /// Reads the entry of a batch in a journal, or of the state keyspace.
    pub(super) fn decode(salt: Salt, key: &[u8], value: &[u8]) -> Option<Self> {
        if key != Self::key() {
            return None;
        }
        let (version, numbers) = record::unseal(salt, key, value)?.split_first()?;
        let (number, engine_number) = numbers.split_first_chunk()?;
        (*version == VERSION && engine_number.len() == 8).then_some(Self {
            number: u64::from_le_bytes(*number),
            engine_number: u64::from_le_bytes(*engine_number.first_chunk()?),
        })
    }

    /// Whether an entry of a journal is a head at all.
    pub(super) fn is_at(keyspace: u64, key: &[u8]) -> bool {
        keyspace == STATE && key == Self::key()
    }
}

/// A batch that is being put together.
pub(super) struct Batch<'a> {
    engine: &'a Engine,
    salt: Salt,
    entries: OwnedWriteBatch,
    /// The highest stream number in it.
    pub(super) highest: u32,
}

impl<'a> Batch<'a> {
    pub(super) fn new(engine: &'a Engine, salt: Salt, number: u64, changes: usize) -> Self {
        let mut entries = OwnedWriteBatch::with_capacity(engine.database.clone(), 2 * changes + 2)
            // To the operating system, so that it outlives the process; to the disk with the next sync.
            .durability(Some(PersistMode::Buffer));
        let head = Head { number, engine_number: engine.database.snapshot().seqno() };
        entries.insert(&engine.state, Head::key(), head.encode(salt));
        Self { engine, salt, entries, highest: 0 }
    }

    /// Adds changes, last first: the first that is seen of a key is the one that counts.
    pub(super) fn add(&mut self, changes: &[Change], buffer: &mut Vec<u8>) -> Result<(), Failed> {
        let mut state = HashSet::new();
        let mut removed = HashSet::new();
        let mut dropped = HashSet::new();
        for change in changes.iter().rev() {
            let id = change.stream();
            if id == keys::OWN {
                return Err(Failed::Zero);
            }
            self.highest = self.highest.max(id.0);
            if !dropped.is_empty() && dropped.contains(&id) {
                continue;
            }
            match change {
                Change::Put { stream, seq, record } => {
                    if removed.is_empty() || !removed.contains(&(*stream, *seq)) {
                        self.put(*stream, *seq, record, buffer)?;
                    }
                }
                Change::Remove { stream, seq, subject } => {
                    removed.insert((*stream, *seq));
                    self.remove(*stream, *seq, subject);
                }
                Change::SetState { stream, key, value } => {
                    if state.insert((*stream, &**key)) {
                        self.set_state(&keys::state(*stream, key), value);
                    }
                }
                Change::ClearState { stream, key } => {
                    if state.insert((*stream, &**key)) {
                        self.clear_state(keys::state(*stream, key));
                    }
                }
                Change::DropStream { stream } => {
                    dropped.insert(*stream);
                    for entry in self.engine.state.prefix(keys::state(*stream, &[])) {
                        let key = entry.key()?;
                        if !state.contains(&(*stream, keys::state_name(&key))) {
                            self.clear_state(key);
                        }
                    }
                    self.set_state(&keys::dropped(*stream), &[]);
                }
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        stream: StreamId,
        seq: Seq,
        record: &Record,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Unstorable> {
        record::encode(self.salt, stream, seq, record, buffer)?;
        self.entries.insert(&self.engine.messages, keys::message(stream, seq), buffer.as_slice());
        self.entries.insert(&self.engine.subjects, keys::subject(stream, &record.subject, seq), []);
        Ok(())
    }

    /// Stores a message whose record is encoded already.
    pub(super) fn put_encoded(&mut self, stream: StreamId, seq: Seq, subject: &str, record: fjall::Slice) {
        self.entries.insert(&self.engine.messages, keys::message(stream, seq), record);
        self.entries.insert(&self.engine.subjects, keys::subject(stream, subject, seq), []);
    }

    /// Deletes a message and its entry in the index.
    pub(super) fn remove(&mut self, stream: StreamId, seq: Seq, subject: &str) {
        self.entries.remove(&self.engine.messages, keys::message(stream, seq));
        self.entries.remove(&self.engine.subjects, keys::subject(stream, subject, seq));
    }

    /// Deletes a message by its key.
    pub(super) fn remove_message(&mut self, key: UserKey) {
        self.entries.remove(&self.engine.messages, key);
    }

    /// Deletes an entry of the index by its key.
    pub(super) fn remove_subject(&mut self, key: UserKey) {
        self.entries.remove(&self.engine.subjects, key);
    }

    pub(super) fn set_state(&mut self, key: &[u8], value: &[u8]) {
        self.entries.insert(&self.engine.state, key, record::seal(self.salt, key, value));
    }

    pub(super) fn clear_state(&mut self, key: impl Into<UserKey>) {
        self.entries.remove(&self.engine.state, key);
    }

    pub(super) fn commit(self) -> fjall::Result<()> {
        self.entries.commit()
    }
}

/// Why a batch could not be put together. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("streams are numbered from 1")]
    Zero,
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    #[error(transparent)]
    Engine(#[from] fjall::Error),
}
