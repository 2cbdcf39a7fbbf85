//! Where messages are kept: the contract between the streams above and the storage engines below.
//!
//! A store knows sequences, subjects and bytes. What a stream *means* (limits, retention, deduplication, which
//! sequence comes next, totals) is decided above and arrives here as [`Change`]s, together with the small *state*
//! entries that belong to them, so that after a crash totals and messages are of one moment.
//!
//! **Writing.** One thread applies changes ([`StreamStore::apply`], atomic as a whole: after a crash all of one call is
//! there, or nothing) and then makes everything applied so far durable ([`StreamStore::sync`]). A call that was
//! applied before another is never lost while the later one is kept.
//!
//! **Reading.** Any thread, at any time; a reader sees what was applied, also before it is synced. What a scan visits
//! may be read meanwhile, but the visitor does not apply: that may have to wait until all scans end. Readers bring
//! explicit bounds, so that no search runs over the remains of what was deleted.
//!
//! **The index of subjects.** It has the messages that are *listed*, and the searches by subject find no others. A message
//! that is the only one of its subject need not be listed: a state entry of the subject then names it (`only`), which
//! whoever replaces it by the next one overwrites, instead of adding an entry and deleting another.
//!
//! Calls block on the disk. They are made on the threads of JetStream, never on the async runtime.

pub(crate) mod fjall;
pub(crate) mod memory;
pub(crate) mod only;

#[cfg(test)]
mod conformance;

use std::{collections::BTreeMap, ops::ControlFlow, ops::RangeInclusive, sync::Arc};

use bytes::Bytes;

/// Sequence of a message in its stream: from 1, never reused.
pub(crate) type Seq = u64;

/// The last sequence a stream can give away. Counting on from it, and asking for what is behind it, never overflows.
pub(crate) const MAX_SEQ: Seq = i64::MAX as u64;

/// Longest subject of a stored message, in bytes: with stream and sequence it has to fit a key of the engine.
pub(crate) const MAX_SUBJECT: usize = 65_000;

/// Largest stored message, headers included, in bytes: it has to fit a value of the engine.
pub(crate) const MAX_DATA: usize = 1 << 30;

/// Number of a stream in its store: from 1, never reused, unlike the stream's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(pub(crate) u32);

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) subject: Arc<str>,
    /// When it was accepted: nanoseconds since 1970, UTC. Never goes back from one sequence to the next.
    pub(crate) time: i64,
    /// Bytes of `data` that are the header block; 0 when there is none.
    pub(crate) header_len: usize,
    /// Header block (from `NATS/1.0` to the empty line), then the payload.
    pub(crate) data: Bytes,
}

/// One step of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Stores a message, and lists it in the index of subjects if it is to be found there. Its sequence was not used
    /// before.
    Put { stream: StreamId, seq: Seq, record: Record, listed: bool },
    /// Lists a message that is there and was not listed.
    List { stream: StreamId, seq: Seq, subject: Arc<str> },
    /// Deletes a message that is there, and its entry in the index if it was `listed`.
    Remove { stream: StreamId, seq: Seq, subject: Arc<str>, listed: bool },
    /// Sets a state entry of a stream. Keys are ordered as bytes.
    SetState { stream: StreamId, key: Box<[u8]>, value: Bytes },
    /// Deletes a state entry, if it is there.
    ClearState { stream: StreamId, key: Box<[u8]> },
    /// Forgets a stream: its state is gone with this batch, its messages at the latest some time after.
    DropStream { stream: StreamId },
}

impl Change {
    /// The stream that is changed.
    pub(crate) fn stream(&self) -> StreamId {
        match self {
            Self::Put { stream, .. }
            | Self::List { stream, .. }
            | Self::Remove { stream, .. }
            | Self::SetState { stream, .. }
            | Self::ClearState { stream, .. }
            | Self::DropStream { stream } => *stream,
        }
    }

    /// Whether it is about a message and its entry in the index of subjects.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self, Self::Put { listed: true, .. } | Self::Remove { listed: true, .. })
    }
}

impl StreamId {
    /// The number after this one.
    pub(crate) fn next(self) -> Result<Self, StoreError> {
        self.0.checked_add(1).map(Self).ok_or_else(|| StoreError::Failed("no stream number is left".into()))
    }
}

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The message at this sequence is there, but not as it was written. Others can be read.
    #[error("message {seq} of stream number {} is damaged on disk", stream.0)]
    Damaged { stream: StreamId, seq: Seq },
    /// State of this stream is there, but not as it was written. After the next start the store is without it, and says
    /// so in [`FoundStream::recount`].
    #[error("state of stream number {} is damaged on disk: restart to have it repaired", stream.0)]
    DamagedState { stream: StreamId },
    /// Too little space is left on the disk. Nothing was written; reading goes on.
    #[error("the disk is full: free some space; publishing goes on by itself then")]
    Full,
    /// The storage engine failed. Whether what was being applied is there will be seen by reading.
    #[error("storage failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a store found of one stream when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundStream {
    pub(crate) stream: StreamId,
    /// Sequences that were acknowledged as durable before and are not there any more: damage, not a torn tail. All that
    /// are missing are within; some within may be there. They are never to be used again.
    pub(crate) lost: Option<RangeInclusive<Seq>>,
    /// Something of the stream was lost to damage, messages, deletes or state entries: what its state says may not fit
    /// its messages. Count again.
    pub(crate) recount: bool,
}

impl FoundStream {
    /// A stream that is as it was written.
    pub(crate) fn whole(stream: StreamId) -> Self {
        Self { stream, lost: None, recount: false }
    }
}

/// Whether a store is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreHealth {
    /// What is wrong with it, a sentence each; none when all is well.
    pub(crate) problems: Vec<String>,
    /// Whether it takes changes at this moment.
    pub(crate) writable: bool,
    /// Whether it does not because the disk is full.
    pub(crate) full: bool,
    /// Messages that are damaged or gone, as far as it is known.
    pub(crate) lost: Lost,
}

/// Where messages of which stream are missing: a few ranges each, ascending.
pub(crate) type Lost = BTreeMap<StreamId, Vec<RangeInclusive<Seq>>>;

/// A storage engine.
pub(crate) trait StreamStore: Send + Sync {
    /// The streams that have state, by number.
    fn streams(&self) -> Result<Vec<FoundStream>, StoreError>;

    /// A number that no stream has or had, also none that was dropped.
    fn next_stream(&self) -> Result<StreamId, StoreError>;

    /// Applies all changes, in order, in one atomic step. Visible to readers when it returns, durable after the next
    /// [`StreamStore::sync`]. On [`StoreError::Full`] nothing was applied; on another error that is unknown.
    fn apply(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Whether there is room for messages of so many bytes, as far as can be seen: to ask before each message is offered,
    /// once one was refused.
    fn has_room(&self, bytes: usize) -> Result<bool, StoreError>;

    /// Makes everything that was applied durable.
    fn sync(&self) -> Result<(), StoreError>;

    /// The message at a sequence.
    fn get(&self, stream: StreamId, seq: Seq) -> Result<Option<Record>, StoreError>;

    /// Hands the messages of a range to `visit`, ascending, until it breaks. A damaged message is handed over as the
    /// error it is, and does not end the scan.
    fn scan(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq, Result<Record, StoreError>) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Hands the sequences of a range to `visit`, descending, until it breaks, without reading messages.
    fn scan_back(
        &self,
        stream: StreamId,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Hands the listed sequences of one subject within a range to `visit`, ascending, until it breaks.
    fn scan_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// The last listed sequence of one subject within a range.
    fn last_of_subject(
        &self,
        stream: StreamId,
        subject: &str,
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError>;

    /// One state entry.
    fn state(&self, stream: StreamId, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Hands the state entries whose key begins with `prefix` to `visit`, by key, until it breaks.
    fn scan_state(
        &self,
        stream: StreamId,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Makes everything durable and lets others have the directory. Nothing is asked of the store afterwards; again does
    /// nothing.
    fn close(&self);

    /// Whether the store is whole and takes changes.
    fn health(&self) -> StoreHealth;
}
