//! The backend for one machine: one SQLite file in WAL mode.
//!
//! All writes go through one connection, one after the other, each in a task of its own that runs to its end
//! even when the caller goes away: `check against the view -> transaction -> commit -> view -> answer`. Reads
//! of what the view does not hold use a pool of read-only connections. A connection on which anything failed
//! is thrown away, never used again in an unknown state.

mod errors;
mod export;
mod load;
mod open;
mod read;
mod schema;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use busauth::UserId;
use parking_lot::Mutex;
use room_protocol::{BlobDigest, RoomId, SealedKey};
use sqlx::{Connection as _, SqlitePool};
use tokio_util::task::TaskTracker;

use crate::migrate::Counts;
use crate::state_cache::StateCache;
use crate::{
    Append, Appended, AuditEntry, AuditQuery, BlobPut, BlobQuota, BlobRecord, BlobUsage, BusRole, Listing,
    MembershipStore, NewAuditEntry, NewRoom, NewUser, Page, Revocation, RoomAccess, RoomRecord, StoreError,
    Tombstone, User, View, ViewLimits,
};
use open::Lock;
use writer::WriterSlot;

pub use open::OpenError;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How much the in-memory view takes in.
    pub limits: ViewLimits,
    /// The most the database file may grow to, in bytes; writes beyond it are
    /// [`StoreError::Unavailable`], as on a full disk. `None` leaves it to the disk.
    pub max_file_bytes: Option<u64>,
    /// How many reads may run at once beside the writer.
    pub readers: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { limits: ViewLimits::default(), max_file_bytes: None, readers: 4 }
    }
}

/// A [`MembershipStore`] in one SQLite file. Clones are handles of the same store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    view: Arc<View>,
    states: StateCache,
    writer: WriterSlot,
    readers: SqlitePool,
    writes: TaskTracker,
    /// Held as long as the store is open: what keeps a second process out.
    lock: Mutex<Option<Lock>>,
}

impl SqliteStore {
    /// Opens, or creates, the store at `path` with the default options.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens, or creates, the store at `path`.
    ///
    /// Missing directories are created with mode 0700, the files with mode 0600. The store is locked through
    /// `<path>.lock` until it is closed or dropped.
    pub async fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let place = open::prepare(path.as_ref().to_owned()).await?;
        schema::inspect(&place).await?;
        let mut connection = place.connect_writer(options.max_file_bytes).await?;
        schema::migrate(&mut connection, &place).await?;
        let view = load::view(&mut connection, options.limits).await.map_err(|error| error.at(&place))?;
        let readers = place.reader_pool(options.readers);
        let writer = WriterSlot::new(place.writer_options(options.max_file_bytes), connection);
        Ok(Self {
            inner: Arc::new(Inner {
                view: Arc::new(view),
                states: StateCache::default(),
                writer,
                readers,
                writes: TaskTracker::new(),
                lock: Mutex::new(Some(place.into_lock())),
            }),
        })
    }

    /// How much there is of everything.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        export::counts(&self.inner.readers).await
    }

    /// Deleted rooms by id: at most `limit` behind `after`.
    pub(crate) async fn deleted_rooms(
        &self,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        export::deleted_rooms(&self.inner.readers, after, limit).await
    }

    /// All keys of a room, by recipient and epoch.
    pub(crate) async fn keys_of_room(
        &self,
        room: &RoomId,
    ) -> Result<Vec<(UserId, u64, SealedKey)>, StoreError> {
        export::keys_of_room(&self.inner.readers, room).await
    }

    /// Audit records in the order in which they were written: at most `limit` behind the first `skip`.
    pub(crate) async fn oldest_audit(
        &self,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<NewAuditEntry>, StoreError> {
        export::audit(&self.inner.readers, skip, limit).await
    }

    /// When the bus was set up, if that was marked.
    pub(crate) async fn first_start(&self) -> Result<Option<u64>, StoreError> {
        export::first_start(&self.inner.readers).await
    }

    /// What memory alone could answer is refused, too, once the store is closed.
    fn check_open(&self) -> Result<(), StoreError> {
        if self.inner.readers.is_closed() { Err(StoreError::Unavailable) } else { Ok(()) }
    }

    /// Runs a write to its end, whether or not the caller waits for it.
    async fn run<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writes.spawn(write).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a write to the membership store ended unexpectedly");
            Err(StoreError::Unavailable)
        })
    }
}

#[async_trait]
impl MembershipStore for SqliteStore {
    fn view(&self) -> &Arc<View> {
        &self.inner.view
    }

    async fn add_user(&self, user: NewUser) -> Result<User, StoreError> {
        self.run(write::users::add(self.inner.clone(), user)).await
    }

    async fn user(&self, id: &UserId) -> Result<User, StoreError> {
        self.check_open()?;
        self.inner.view.user(id).map(|user| User::clone(&user)).ok_or(StoreError::NotFound)
    }

    async fn users(&self, page: Page<UserId>) -> Result<Listing<User, UserId>, StoreError> {
        read::users(&self.inner.readers, &page).await
    }

    async fn set_user_role(&self, id: &UserId, role: BusRole) -> Result<User, StoreError> {
        self.run(write::users::set_role(self.inner.clone(), *id, role)).await
    }

    async fn revoke_user(&self, id: &UserId, at: u64) -> Result<Revocation, StoreError> {
        self.run(write::users::revoke(self.inner.clone(), *id, at)).await
    }

    async fn create_room(&self, room: NewRoom) -> Result<(), StoreError> {
        self.run(write::rooms::create(self.inner.clone(), room)).await
    }

    async fn room(&self, id: &RoomId) -> Result<RoomRecord, StoreError> {
        self.check_open()?;
        let access = self.inner.view.room(id).ok_or(StoreError::NotFound)?;
        if let Some(state) = self.inner.states.get(id, &access.head) {
            return Ok(RoomRecord { state, frozen: access.frozen, created: access.created });
        }
        let record = read::room(&self.inner.readers, id).await?;
        self.inner.states.put(record.state.clone());
        Ok(record)
    }

    async fn rooms(&self, page: Page<RoomId>) -> Result<Listing<Arc<RoomAccess>, RoomId>, StoreError> {
        self.check_open()?;
        Ok(self.inner.view.rooms(&page))
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.run(write::rooms::append(self.inner.clone(), append)).await
    }

    async fn log(&self, room: &RoomId, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        read::log(&self.inner.readers, room, from, limit).await
    }

    async fn sealed_keys(
        &self,
        room: &RoomId,
        recipient: &UserId,
        page: Page<u64>,
    ) -> Result<Listing<(u64, SealedKey), u64>, StoreError> {
        self.check_open()?;
        self.inner.view.room(room).ok_or(StoreError::NotFound)?;
        read::sealed_keys(&self.inner.readers, room, recipient, &page).await
    }

    async fn add_sealed_keys(
        &self,
        room: &RoomId,
        recipient: &UserId,
        keys: Vec<(u64, SealedKey)>,
    ) -> Result<(), StoreError> {
        self.run(write::keys::add(self.inner.clone(), *room, *recipient, keys)).await
    }

    async fn put_blob(
        &self,
        room: &RoomId,
        blob: BlobRecord,
        quota: BlobQuota,
    ) -> Result<BlobPut, StoreError> {
        self.run(write::blobs::put(self.inner.clone(), *room, blob, quota)).await
    }

    async fn blob(&self, room: &RoomId, digest: &BlobDigest) -> Result<BlobRecord, StoreError> {
        read::blobs::one(&self.inner.readers, room, digest).await
    }

    async fn blobs(
        &self,
        room: &RoomId,
        page: Page<BlobDigest>,
    ) -> Result<Listing<BlobRecord, BlobDigest>, StoreError> {
        read::blobs::page(&self.inner.readers, room, &page).await
    }

    async fn remove_blob(&self, room: &RoomId, digest: &BlobDigest) -> Result<bool, StoreError> {
        self.run(write::blobs::remove(self.inner.clone(), *room, *digest)).await
    }

    async fn blob_usage(&self, room: &RoomId, user: &UserId) -> Result<BlobUsage, StoreError> {
        read::blobs::usage(&self.inner.readers, room, user).await
    }

    async fn set_frozen(&self, room: &RoomId, frozen: bool) -> Result<(), StoreError> {
        self.run(write::rooms::set_frozen(self.inner.clone(), *room, frozen)).await
    }

    async fn delete_room(&self, room: &RoomId, at: u64) -> Result<(), StoreError> {
        self.run(write::rooms::delete(self.inner.clone(), *room, at)).await
    }

    async fn tombstone(&self, room: &RoomId) -> Result<Tombstone, StoreError> {
        read::tombstone(&self.inner.readers, room).await
    }

    async fn append_audit(&self, entry: NewAuditEntry) -> Result<u64, StoreError> {
        self.run(write::audit::append(self.inner.clone(), entry)).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Listing<AuditEntry, u64>, StoreError> {
        read::audit(&self.inner.readers, &query).await
    }

    async fn is_first_start(&self) -> Result<bool, StoreError> {
        let is_marked = read::has_fact(&self.inner.readers, write::FIRST_START).await?;
        Ok(!is_marked && self.inner.view.size().users == 0)
    }

    async fn mark_first_start(&self, at: u64) -> Result<(), StoreError> {
        self.run(write::mark_first_start(self.inner.clone(), at)).await
    }

    async fn close(&self) {
        self.inner.writes.close();
        let connection = self.inner.writer.close().await;
        self.inner.writes.wait().await;
        self.inner.readers.close().await;
        // Last, so that SQLite moves what is in the write-ahead log to the database file.
        if let Some(connection) = connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "closing the membership store's writing connection failed");
        }
        drop(self.inner.lock.lock().take());
    }
}
