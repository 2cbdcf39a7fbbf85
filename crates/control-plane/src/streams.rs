//! The streams of rooms with history: made, changed and removed together with their rooms.
//!
//! The store decides. A stream whose room was deleted is removed, one that it misses is made, and one with other limits is
//! changed: at every start, and whenever making one fails because an old one is in its way. A stream of a room that the store
//! does not know is removed only by whoever has a store of its own: where others write as well, it may have to hear of the room
//! still.

use std::collections::HashMap;
use std::num::NonZeroU64;

use async_trait::async_trait;
use control_api::{NewConsumer, history::CONSUMER_RANDOM};
use membership_store::{MembershipStore, Page, StoreError};
use room_protocol::{History, RoomId, RoomLimits, RoomState, RoomSubject};

use crate::data_plane::DataPlaneError;

/// The stream that a room with history has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStream {
    /// The room.
    pub room: RoomId,
    /// What is stored: this subject and everything below it.
    pub subject: RoomSubject,
    /// Bounds of what is kept; the oldest gives way.
    pub kept: Kept,
}

/// How much a stream keeps; what is absent is bounded by the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Seconds.
    pub age: Option<NonZeroU64>,
    /// Bytes of all messages.
    pub bytes: Option<NonZeroU64>,
    /// Messages.
    pub messages: Option<NonZeroU64>,
    /// Messages on one subject.
    pub messages_per_subject: Option<NonZeroU64>,
}

/// A durable pull consumer on a room's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomConsumer {
    /// Its name: `c_` and random characters.
    pub name: String,
    /// What was asked for when it was made, and who asked.
    pub made: MadeConsumer,
    /// Messages that nobody was given yet.
    pub pending: u64,
    /// Messages that somebody was given and nobody acknowledged.
    pub unacknowledged: u64,
}

/// What a consumer was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeConsumer {
    /// Who made it.
    pub owner: busauth::UserId,
    /// What was asked for.
    pub asked: NewConsumer,
}

impl MadeConsumer {
    /// Whether this member may take work from it.
    pub fn is_usable_by(&self, user: &busauth::UserId) -> bool {
        self.asked.shared || self.owner == *user
    }
}

/// A name that nobody can guess and that says nothing.
pub(crate) fn new_consumer_name() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let random: [u8; CONSUMER_RANDOM] = rand::random();
    let letters = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    format!("c_{}", letters.collect::<String>())
}

/// Streams and consumers, as whichever data plane runs keeps them.
#[async_trait]
pub trait RoomStreams: Send + Sync + 'static {
    /// Every stream of a room, whether or not the room exists.
    async fn streams(&self) -> Result<Vec<FoundStream>, DataPlaneError>;

    /// Makes the stream, or gives it these limits. It stores what is published after this returns.
    async fn keep_stream(&self, stream: &RoomStream) -> Result<(), DataPlaneError>;

    /// Removes the stream with its consumers and messages. Right also when there is none.
    async fn drop_stream(&self, room: &RoomId) -> Result<(), DataPlaneError>;

    /// The consumers of a room's stream, by name.
    async fn consumers(&self, room: &RoomId) -> Result<Vec<RoomConsumer>, DataPlaneError>;

    /// Makes a consumer under this name, which is new.
    async fn make_consumer(
        &self,
        room: &RoomId,
        name: &str,
        made: &MadeConsumer,
    ) -> Result<RoomConsumer, DataPlaneError>;

    /// Removes a consumer. Answers whether there was one.
    async fn drop_consumer(&self, room: &RoomId, name: &str) -> Result<bool, DataPlaneError>;
}

/// A stream that the data plane has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStream {
    /// The room it is named after.
    pub room: RoomId,
    /// What it would be made with; `None` when it is not as this program makes streams.
    pub stream: Option<RoomStream>,
}

impl RoomStream {
    /// The stream that a room has to have, if its messages are kept.
    pub fn of(state: &RoomState) -> Option<Self> {
        match state.history() {
            History::None => None,
            History::Shared => Some(Self {
                room: state.id(),
                subject: state.subject().clone(),
                kept: Kept::of(state.limits()),
            }),
        }
    }
}

impl Kept {
    fn of(limits: &RoomLimits) -> Self {
        Self {
            age: limits.age,
            bytes: limits.bytes,
            messages: limits.messages,
            messages_per_subject: limits.messages_per_subject,
        }
    }
}

/// Why streams and rooms could not be brought together.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The store.
    #[error("the rooms cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The data plane.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
}

/// What [`reconcile`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Streams that were missing.
    pub made: usize,
    /// Streams with other limits than their rooms.
    pub changed: usize,
    /// Streams without a room.
    pub removed: usize,
    /// Streams that there is no room for on the disk: nothing is kept of their rooms until the next start.
    pub postponed: usize,
}

/// What becomes of streams without a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// They are removed: nobody else writes to this store, so it misses no room.
    Remove,
    /// Those of rooms that were deleted are removed. Others stay: a store that others write to, too, may be behind them, and the
    /// messages of a room that it has not heard of would be gone.
    RemoveDeleted,
    /// They stay: their rooms may have been made by others a moment ago.
    Keep,
}

/// Brings the streams in line with the rooms of the store. For the start, before anybody is let in.
pub async fn reconcile(
    store: &dyn MembershipStore,
    streams: &dyn RoomStreams,
    orphans: Orphans,
) -> Result<Reconciled, ReconcileError> {
    let mut found: HashMap<RoomId, Option<RoomStream>> =
        streams.streams().await?.into_iter().map(|found| (found.room, found.stream)).collect();
    let mut wanted = Vec::new();
    let mut page = Page::first(Page::<RoomId>::MAX);
    loop {
        let rooms = store.rooms(page).await?;
        for room in rooms.items.iter().filter(|room| room.history == History::Shared) {
            wanted.extend(RoomStream::of(&store.room(&room.id).await?.state));
        }
        match rooms.next {
            Some(next) => page = Page::after(next, Page::<RoomId>::MAX),
            None => break,
        }
    }
    let mut done = Reconciled::default();
    let mut to_keep = Vec::new();
    for stream in wanted {
        match found.remove(&stream.room) {
            Some(there) if there.as_ref() == Some(&stream) => {}
            there => to_keep.push((stream, there.is_some())),
        }
    }
    // First: a stream without a room may lie on the subject of a new one.
    for orphan in found.keys() {
        match orphans {
            Orphans::Remove => {}
            Orphans::RemoveDeleted if was_deleted(store, orphan).await? => {}
            Orphans::RemoveDeleted => {
                tracing::info!(room = %orphan, "a stream stays whose room is not known here");
                continue;
            }
            Orphans::Keep => continue,
        }
        streams.drop_stream(orphan).await?;
        done.removed += 1;
    }
    for (stream, is_there) in &to_keep {
        match streams.keep_stream(stream).await {
            Ok(()) if *is_there => done.changed += 1,
            Ok(()) => done.made += 1,
            // A full disk must not keep everybody out, least of all whoever is to make room.
            Err(DataPlaneError::Full(cause)) => {
                tracing::warn!(room = %stream.room, cause, "the disk has no room for the messages of a room");
                done.postponed += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Whether there was such a room: deletion leaves a trace, and an id is never given to another room.
async fn was_deleted(store: &dyn MembershipStore, room: &RoomId) -> Result<bool, StoreError> {
    match store.tombstone(room).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes or changes a room's stream. Where that fails, what deleted rooms may have left behind is removed, and it is
/// tried once more.
pub(crate) async fn keep(
    store: &dyn MembershipStore,
    streams: &dyn RoomStreams,
    state: &RoomState,
) -> Result<(), DataPlaneError> {
    let Some(stream) = RoomStream::of(state) else { return Ok(()) };
    let first = match streams.keep_stream(&stream).await {
        Ok(()) => return Ok(()),
        Err(full @ DataPlaneError::Full(_)) => return Err(full),
        Err(first) => first,
    };
    for found in streams.streams().await? {
        // Of a store that cannot say so no stream is removed.
        if was_deleted(store, &found.room).await.unwrap_or(false) {
            tracing::warn!(room = %found.room, "removing the stream of a room that is gone");
            streams.drop_stream(&found.room).await?;
        }
    }
    tracing::info!(room = %stream.room, error = %first, "making the room's stream once more");
    streams.keep_stream(&stream).await
}
