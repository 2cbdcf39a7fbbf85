//! One atomic batch out of the changes of one call.
//!
//! The engine gives all entries of a batch the same number, and two entries of one key and one number have no order. So a
//! batch holds each key once: as the last change left it.

use super::{
    engine::{Engine, STATE},
    keys,
    record::{self, Salt, Unstorable},
};
use crate::jetstream::store::{Change, Seq, StreamId};
use fjall::{OwnedWriteBatch, PersistMode, UserKey};
use foldhash::{HashSet, HashSetExt as _};

/// Longer buffers are given back.
const KEEP_BUFFER: usize = 1024 * 1024;

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

/// Where keys and values are put together, one after the other: the engine copies them.
#[derive(Default)]
pub(super) struct Buffers {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Buffers {
    /// Gives back what a large message made grow.
    pub(super) fn limit(&mut self) {
        if self.value.capacity() > KEEP_BUFFER {
            self.value = Vec::new();
        }
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
    pub(super) fn new(engine: &'a Engine, salt: Salt, number: u64, count: usize) -> Self {
        let mut entries = OwnedWriteBatch::with_capacity(engine.database.clone(), count + 2)
            // To the operating system, so that it outlives the process; to the disk with the next sync.
            .durability(Some(PersistMode::Buffer));
        let head = Head { number, engine_number: engine.database.snapshot().seqno() };
        entries.insert(&engine.state, Head::key(), head.encode(salt));
        Self { engine, salt, entries, highest: 0 }
    }

    /// Adds changes, last first: the first that is seen of a key is the one that counts.
    pub(super) fn add(
        &mut self,
        changes: &[Change],
        Buffers { key, value }: &mut Buffers,
    ) -> Result<(), Failed> {
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
                Change::Put { stream, seq, record, listed } => {
                    if removed.is_empty() || !removed.contains(&(*stream, *seq)) {
                        record::encode(self.salt, *stream, *seq, record, value)?;
                        let at = keys::message(*stream, *seq);
                        self.entries.insert(&self.engine.messages, at, value.as_slice());
                        if *listed {
                            self.list(*stream, *seq, &record.subject, key);
                        }
                    }
                }
                Change::List { stream, seq, subject } => {
                    if removed.is_empty() || !removed.contains(&(*stream, *seq)) {
                        self.list(*stream, *seq, subject, key);
                    }
                }
                Change::Remove { stream, seq, subject, listed } => {
                    removed.insert((*stream, *seq));
                    self.entries.remove(&self.engine.messages, keys::message(*stream, *seq));
                    if *listed {
                        keys::subject_into(key, *stream, subject, *seq);
                        self.entries.remove(&self.engine.subjects, key.as_slice());
                    }
                }
                Change::SetState { stream, key: name, value: set } => {
                    if state.insert((*stream, &**name)) {
                        keys::state_into(key, *stream, name);
                        record::seal_into(value, self.salt, key, set);
                        self.entries.insert(&self.engine.state, key.as_slice(), value.as_slice());
                    }
                }
                Change::ClearState { stream, key: name } => {
                    if state.insert((*stream, &**name)) {
                        keys::state_into(key, *stream, name);
                        self.clear_state(key.as_slice());
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

    /// Adds a message to the index.
    fn list(&mut self, stream: StreamId, seq: Seq, subject: &str, key: &mut Vec<u8>) {
        keys::subject_into(key, stream, subject, seq);
        self.entries.insert(&self.engine.subjects, key.as_slice(), []);
    }

    /// Stores a message whose record is encoded already, and lists it.
    pub(super) fn put_encoded(&mut self, stream: StreamId, seq: Seq, subject: &str, record: fjall::Slice) {
        self.entries.insert(&self.engine.messages, keys::message(stream, seq), record);
        self.list(stream, seq, subject, &mut Vec::new());
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
