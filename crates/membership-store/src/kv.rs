//! The backend for several machines: buckets in JetStream, replicated by nats-server.
//!
//! Every store of a cluster has the whole view in memory and follows one bucket, `UNIBUS_ctl`, whose messages have one
//! order. Each write is one message, stored only if the writer had seen all before it (`kv/commit.rs` says why that
//! is enough). So nothing here needs a lock on the server, a transaction, or a read that is up to date:
//!
//! - **Nothing is torn.** A change is one message: an entry of a log says whom it makes a member, and whoever applies the
//!   revocation of a user freezes the rooms that lose their last owner by it. Sealed keys are written before the
//!   entry that names them, and are nothing until it is there.
//! - **Nothing is lost or done twice.** Two writers cannot both be right about what was last; a write without an
//!   acknowledgement is looked for by its id.
//! - **Nothing is old.** A refusal is given only after the view has passed a message that was sent after the question.
//!
//! | bucket | key | value |
//! |---|---|---|
//! | `UNIBUS_ctl` | `user.<id>`, `user.<id>.role`, `user.<id>.revoked` | a user; its role since; its end |
//! | | `room.<id>.log.<seq>` | an entry, the room after it, who becomes or stops being a member, where its keys are |
//! | | `room.<id>.frozen`, `room.<id>.file.<digest>` | by decision of an admin; a file, or that it is gone |
//! | | `deleted.<room>` | what stays of a room |
//! | | `fact.first_start`, `fact.moving` | the bus was set up; whether one is being moved in |
//! | | `node.<name>`, `barrier` | what a node says of itself; nothing |
//! | `UNIBUS_keys` | `set.<room>.<set>.<part>`, `added.<room>.<user>.<since>.<n>` | sealed keys |
//! | | `state.<room>.<part>` | a snapshot of a room's state |
//! | `UNIBUS_audit` | who, what, to whom, hashed | the audit |
//!
//! While a bus is being moved in, only whoever moves it writes: the mark is in the one order, so that no write can be
//! decided without having seen it.
//!
//! A value is at most 512 KiB, and less where the server's `max_payload` is.

mod apply;
mod audit;
mod cleaning;
mod commit;
mod elections;
mod follower;
mod import;
mod index;
mod keys;
mod messages;
mod moving;
mod nonces;
mod open;
mod progress;
mod publish;
mod read;
mod seals;
mod snapshots;
mod write;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_trait::async_trait;
use busauth::UserId;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use room_protocol::{BlobDigest, RoomId, SealedKey};
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::state_cache::StateCache;
use crate::{
    Append, Appended, AuditEntry, AuditQuery, BlobPut, BlobQuota, BlobRecord, BlobUsage, BusRole, Listing,
    MembershipStore, NewAuditEntry, NewRoom, NewUser, Page, Revocation, RoomAccess, RoomRecord, StoreError,
    Tombstone, User, View, ViewLimits,
};
use apply::Loose;
use index::Index;
use keys::{Key, Names};
use open::Buckets;
use progress::{End, Progress};

pub(crate) use import::Imported;

pub use keys::{NodeName, NodeNameError};
pub use moving::UnfinishedMove;
pub use nonces::{KvNonceOptions, KvNonceStore};
pub use open::KvOpenError;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvOptions {
    /// What the names of all buckets start with. Stores of one bus have the same.
    pub prefix: String,
    /// How many servers keep a bucket that is made now. Buckets that exist stay as they are.
    pub replicas: usize,
    /// How much the in-memory view takes in.
    pub limits: ViewLimits,
    /// How many files, of all rooms together, may be recorded: each takes about 150 bytes of memory.
    pub max_files: usize,
    /// After how many deleted rooms no new one is made: of each there stays its last statement, for ever, and every start reads
    /// it. Deleting goes on.
    pub max_deleted_rooms: usize,
    /// How long a write may take, the election of a new leader included. After that it is
    /// [`StoreError::Unavailable`], and may have happened.
    pub write_timeout: Duration,
    /// How long opening waits for JetStream.
    pub open_timeout: Duration,
}

impl Default for KvOptions {
    fn default() -> Self {
        Self {
            prefix: "UNIBUS".to_owned(),
            replicas: 1,
            limits: ViewLimits::default(),
            max_files: 500_000,
            max_deleted_rooms: 100_000,
            write_timeout: Duration::from_secs(15),
            open_timeout: Duration::from_mins(1),
        }
    }
}

/// How many writes may wait for each other.
const MAX_WAITING: usize = 1_024;
/// How many changes a slow listener may be behind before it is told that it missed some.
const MAX_CHANGES: usize = 4_096;
/// How many snapshots are written together.
const SNAPSHOTS_AT_ONCE: usize = 2;

/// What a message of the bucket changed in the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A user was added, has another role, or was revoked.
    User(UserId),
    /// A room was made, changed or deleted, and these users became members, stopped being members, or have
    /// another role in it.
    Room(RoomId, Vec<UserId>),
}

/// What a node said of itself, and when in the order of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The node.
    pub name: NodeName,
    /// Grows with every record of any node.
    pub revision: u64,
    /// What it said.
    pub text: String,
}

/// That the view is complete: it holds everything that was acknowledged, to anybody, before `since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The revision up to which the view was complete.
    pub revision: u64,
    /// When the question was sent, by this machine's monotonic clock.
    pub since: Instant,
}

/// A [`MembershipStore`] in JetStream, shared by the nodes of a cluster. Clones are handles of the same store.
#[derive(Debug, Clone)]
pub struct KvStore {
    inner: Arc<Inner>,
    stop: CancellationToken,
    /// Ends the tasks of a store that was dropped without being closed.
    _guard: Arc<DropGuard>,
}

/// What follows the bucket.
#[derive(Debug)]
struct Memory {
    view: Arc<View>,
    index: RwLock<Index>,
    states: StateCache,
    loose: Mutex<Loose>,
    changes: broadcast::Sender<(u64, Changed)>,
}

#[derive(Debug)]
struct Inner {
    options: KvOptions,
    /// It writes although a bus is being moved in, since it is the one that moves it.
    moves: bool,
    buckets: Buckets,
    memory: Memory,
    progress: Progress,
    turn: tokio::sync::Mutex<()>,
    waiting: Semaphore,
    snapshots: Arc<Semaphore>,
    last_audit: AtomicU64,
    /// A room was deleted here, and its messages are to be removed.
    deleted: Notify,
    /// Writes, which run to their end, and the follower, which is stopped after them.
    writes: TaskTracker,
    tasks: TaskTracker,
}

impl KvStore {
    /// The longest record of a node, in bytes.
    pub const MAX_NODE_RECORD: usize = 16 << 10;

    /// Opens the store, or makes it. The connection belongs to an account that nobody but the nodes may enter.
    ///
    /// Waits until the view holds everything that was acknowledged before.
    pub async fn open(context: Context, options: KvOptions) -> Result<Self, KvOpenError> {
        Self::open_as(context, options, false).await
    }

    async fn open_as(context: Context, options: KvOptions, moves: bool) -> Result<Self, KvOpenError> {
        let deadline = tokio::time::Instant::now() + options.open_timeout;
        let names =
            Names::new(&options.prefix).ok_or_else(|| KvOpenError::BadPrefix(options.prefix.clone()))?;
        let buckets = open::buckets(context, &names, options.replicas, deadline).await?;
        let memory = Memory {
            view: Arc::new(View::new(options.limits)),
            index: RwLock::default(),
            states: StateCache::default(),
            loose: Mutex::default(),
            changes: broadcast::Sender::new(MAX_CHANGES),
        };
        let inner = Arc::new(Inner {
            options,
            moves,
            buckets,
            memory,
            progress: Progress::new(),
            turn: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)),
            last_audit: AtomicU64::new(0),
            deleted: Notify::new(),
            writes: TaskTracker::new(),
            tasks: TaskTracker::new(),
        });
        let stop = CancellationToken::new();
        inner.tasks.spawn(follower::follow(inner.clone(), stop.clone()));
        let guard = Arc::new(stop.clone().drop_guard());
        let store = Self { inner: inner.clone(), stop: stop.clone(), _guard: guard };
        match tokio::time::timeout_at(deadline, inner.load()).await {
            Ok(loaded) => loaded.map_err(|error| inner.refuse(&names, &error))?,
            Err(_) => return Err(KvOpenError::Unreachable("the view was not complete in time".to_owned())),
        }
        inner.memory.view.check_loaded().map_err(KvOpenError::OverLimit)?;
        inner.tasks.spawn(cleaning::clean_rooms(inner.clone(), stop.clone()));
        inner.tasks.spawn(cleaning::clean_sets(inner.clone(), stop));
        Ok(store)
    }

    /// The revision of the last message that is in the view.
    pub fn applied(&self) -> u64 {
        self.inner.progress.applied()
    }

    /// Waits until the view holds a revision that another node has told. The caller bounds the time. Fails when the view
    /// does not follow any more, however far it has come.
    pub async fn reach(&self, revision: u64) -> Result<(), StoreError> {
        self.inner.progress.reach(revision).await
    }

    /// Waits until the view holds everything that was acknowledged, to anybody, before this call.
    ///
    /// Whoever must not answer from an old view confirms it at intervals, and stops answering when the last
    /// confirmation is too old.
    pub async fn confirm(&self) -> Result<Confirmed, StoreError> {
        let since = Instant::now();
        let revision = self.inner.in_time(self.inner.barrier()).await?;
        Ok(Confirmed { revision, since })
    }

    /// The same with a record of this node, of at most [`KvStore::MAX_NODE_RECORD`] bytes, which every node sees then.
    pub async fn put_node(&self, name: &NodeName, text: &str) -> Result<Confirmed, StoreError> {
        self.inner.progress.check()?;
        let (bytes, limit) = (text.len(), Self::MAX_NODE_RECORD);
        if bytes > limit {
            return Err(StoreError::TooLarge { bytes, limit });
        }
        let since = Instant::now();
        let key = Key::Node(name.clone());
        let put = self.inner.pass(&key, Bytes::copy_from_slice(text.as_bytes()));
        Ok(Confirmed { revision: self.inner.in_time(put).await?, since })
    }

    /// The last record of each node that ever put one, by name: of the 64 that put theirs last.
    pub fn nodes(&self) -> Vec<NodeRecord> {
        self.inner.memory.index.read().nodes()
    }

    /// What changes in the view from now on, whoever changed it, with the revision.
    pub fn changes(&self) -> broadcast::Receiver<(u64, Changed)> {
        self.inner.memory.changes.subscribe()
    }

    /// Runs a write to its end, whether or not the caller waits for it.
    async fn run<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.progress.check()?;
        self.inner.check_not_moving()?;
        if self.inner.writes.is_closed() {
            return Err(StoreError::Unavailable);
        }
        self.inner.writes.spawn(write).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a write to the membership store ended unexpectedly");
            Err(StoreError::Unavailable)
        })
    }
}

impl Inner {
    /// Waits until everything is in memory.
    async fn load(&self) -> Result<(), StoreError> {
        self.barrier().await?;
        let torn = self.memory.loose.lock().torn();
        if !torn.is_empty() {
            // Their messages are being removed, after the message that says that they were deleted.
            self.barrier().await?;
            let still = self.memory.loose.lock().torn();
            if let Some(room) = still.intersection(&torn).next() {
                self.progress.end(End::Damaged(apply::torn(room)));
                return Err(StoreError::Corrupt);
            }
        }
        Ok(())
    }

    fn refuse(&self, names: &Names, error: &StoreError) -> KvOpenError {
        match self.progress.ended() {
            Some(End::Damaged(detail)) => KvOpenError::Corrupt { bucket: names.ctl.clone(), detail },
            _ => KvOpenError::Unreachable(error.to_string()),
        }
    }

    async fn in_time<T>(&self, write: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let done = tokio::time::timeout(self.options.write_timeout, write).await;
        done.unwrap_or_else(|_| self.progress.check().and(Err(StoreError::Unavailable)))
    }
}

#[async_trait]
impl MembershipStore for KvStore {
    fn view(&self) -> &Arc<View> {
        &self.inner.memory.view
    }

    async fn add_user(&self, user: NewUser) -> Result<User, StoreError> {
        let store = self.inner.clone();
        self.run(async move { write::users::add(&store, user).await }).await
    }

    async fn user(&self, id: &UserId) -> Result<User, StoreError> {
        self.inner.progress.check()?;
        self.inner.memory.view.user(id).map(|user| User::clone(&user)).ok_or(StoreError::NotFound)
    }

    async fn users(&self, page: Page<UserId>) -> Result<Listing<User, UserId>, StoreError> {
        self.inner.progress.check()?;
        let ids = self.inner.memory.index.read().users(&page);
        let users = ids.iter().filter_map(|id| self.inner.memory.view.user(id));
        Ok(Listing::cut(users.map(|user| User::clone(&user)).collect(), page.size(), |user| user.id))
    }

    async fn set_user_role(&self, id: &UserId, role: BusRole) -> Result<User, StoreError> {
        let (store, id) = (self.inner.clone(), *id);
        self.run(async move { write::users::set_role(&store, id, role).await }).await
    }

    async fn revoke_user(&self, id: &UserId, at: u64) -> Result<Revocation, StoreError> {
        let (store, id) = (self.inner.clone(), *id);
        self.run(async move { write::users::revoke(&store, id, at).await }).await
    }

    async fn create_room(&self, room: NewRoom) -> Result<(), StoreError> {
        let store = self.inner.clone();
        self.run(async move { write::rooms::create(&store, room).await }).await
    }

    async fn room(&self, id: &RoomId) -> Result<RoomRecord, StoreError> {
        self.inner.progress.check()?;
        let state = self.inner.state(id).await;
        // Deleted, perhaps while it was read.
        let access = self.inner.memory.view.room(id).ok_or(StoreError::NotFound)?;
        Ok(RoomRecord { state: state?, frozen: access.frozen, created: access.created })
    }

    async fn rooms(&self, page: Page<RoomId>) -> Result<Listing<Arc<RoomAccess>, RoomId>, StoreError> {
        self.inner.progress.check()?;
        Ok(self.inner.memory.view.rooms(&page))
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let store = self.inner.clone();
        self.run(async move { write::rooms::append(&store, append).await }).await
    }

    async fn log(&self, room: &RoomId, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.inner.progress.check()?;
        self.inner.log(room, from, limit).await
    }

    async fn sealed_keys(
        &self,
        room: &RoomId,
        recipient: &UserId,
        page: Page<u64>,
    ) -> Result<Listing<(u64, SealedKey), u64>, StoreError> {
        self.inner.progress.check()?;
        seals::of_member(&self.inner, room, recipient, &page).await
    }

    async fn add_sealed_keys(
        &self,
        room: &RoomId,
        recipient: &UserId,
        keys: Vec<(u64, SealedKey)>,
    ) -> Result<(), StoreError> {
        let (store, room, recipient) = (self.inner.clone(), *room, *recipient);
        self.run(async move { write::keys::add(&store, room, recipient, keys).await }).await
    }

    async fn put_blob(
        &self,
        room: &RoomId,
        blob: BlobRecord,
        quota: BlobQuota,
    ) -> Result<BlobPut, StoreError> {
        let (store, room) = (self.inner.clone(), *room);
        self.run(async move { write::files::put(&store, room, blob, quota).await }).await
    }

    async fn blob(&self, room: &RoomId, digest: &BlobDigest) -> Result<BlobRecord, StoreError> {
        self.inner.progress.check()?;
        self.inner.memory.index.read().file(room, digest).ok_or(StoreError::NotFound)
    }

    async fn blobs(
        &self,
        room: &RoomId,
        page: Page<BlobDigest>,
    ) -> Result<Listing<BlobRecord, BlobDigest>, StoreError> {
        self.inner.progress.check()?;
        Ok(self.inner.memory.index.read().files(room, &page))
    }

    async fn remove_blob(&self, room: &RoomId, digest: &BlobDigest) -> Result<bool, StoreError> {
        let (store, room, digest) = (self.inner.clone(), *room, *digest);
        self.run(async move { write::files::remove(&store, room, digest).await }).await
    }

    async fn blob_usage(&self, room: &RoomId, user: &UserId) -> Result<BlobUsage, StoreError> {
        self.inner.progress.check()?;
        Ok(self.inner.memory.index.read().usage(room, user))
    }

    async fn set_frozen(&self, room: &RoomId, frozen: bool) -> Result<(), StoreError> {
        let (store, room) = (self.inner.clone(), *room);
        self.run(async move { write::rooms::set_frozen(&store, room, frozen).await }).await
    }

    async fn delete_room(&self, room: &RoomId, at: u64) -> Result<(), StoreError> {
        let (store, room) = (self.inner.clone(), *room);
        self.run(async move { write::rooms::delete(&store, room, at).await }).await
    }

    async fn tombstone(&self, room: &RoomId) -> Result<Tombstone, StoreError> {
        self.inner.progress.check()?;
        self.inner.tombstone(room).await
    }

    async fn append_audit(&self, entry: NewAuditEntry) -> Result<u64, StoreError> {
        let store = self.inner.clone();
        self.run(async move { audit::append(&store, entry).await }).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Listing<AuditEntry, u64>, StoreError> {
        self.inner.progress.check()?;
        audit::query(&self.inner, &query).await
    }

    async fn is_first_start(&self) -> Result<bool, StoreError> {
        self.inner.progress.check()?;
        Ok(self.inner.memory.index.read().is_first_start())
    }

    async fn mark_first_start(&self, at: u64) -> Result<(), StoreError> {
        let store = self.inner.clone();
        self.run(async move { write::mark_first_start(&store, at).await }).await
    }

    async fn close(&self) {
        self.inner.writes.close();
        self.inner.writes.wait().await;
        // The follower says that nothing changes any more when it ends.
        self.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
