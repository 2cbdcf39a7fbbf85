//! A stream: what it holds, and what was promised but is not written yet.
//!
//! *Committed* is what is on disk; the committer alone changes it. *Assigned* is what publishers were given a sequence
//! for and the committer has not written yet: checks of a publish (expected sequences, limits, duplicates) count it,
//! readers do not see it. What readers see ends at the *visible* mark, which moves when a group is durable.

mod consumers;
mod expiry;
mod filters;
mod read;
mod recover;
mod state;
mod totals;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::{
    commit::CommitQueue,
    direct_get::DirectGets,
    follower::Follower,
    scheduler::{Scheduler, Turn},
    store::{Seq, StreamId, StreamStore},
    stream_config::{Storage, StreamConfig},
    usage::Usage,
};

use consumers::Consumers;
pub(crate) use filters::Filters;
pub(crate) use recover::RecoverError;
pub(crate) use state::{Assigned, Committed, StreamState};
pub(crate) use totals::{SubjectTotals, Totals, message_bytes, subject_key};

/// A stream.
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    pub(crate) id: StreamId,
    /// Nanoseconds since 1970.
    pub(crate) created: i64,
    pub(crate) storage: Storage,
    pub(super) store: Arc<dyn StreamStore>,
    pub(super) commit: Arc<CommitQueue>,
    pub(super) usage: Arc<Usage>,
    pub(super) scheduler: Arc<Scheduler>,
    config: ArcSwap<StreamConfig>,
    pub(super) state: Mutex<StreamState>,
    /// Where what readers see ends.
    visible: AtomicU64,
    /// The first sequence, for readers.
    first: AtomicU64,
    /// Nothing is taken any more: it is being deleted.
    closed: AtomicBool,
    followers: RwLock<Vec<Arc<dyn Follower>>>,
    pub(crate) consumers: Consumers,
    /// When its expiry looks again: nanoseconds since 1970; 0 when nothing is to expire.
    armed: AtomicI64,
    turn: Turn,
    pub(super) gets: DirectGets,
}

/// What streams work with.
pub(crate) struct StreamParts {
    pub(crate) store: Arc<dyn StreamStore>,
    pub(crate) commit: Arc<CommitQueue>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) usage: Arc<Usage>,
}

impl Stream {
    /// A new stream without messages.
    pub(crate) fn new(id: StreamId, config: StreamConfig, created: i64, parts: StreamParts) -> Self {
        let first = config.first_seq.unwrap_or(1).max(1);
        Self::with_state(id, config, created, parts, StreamState::empty(first))
    }

    fn with_state(
        id: StreamId,
        config: StreamConfig,
        created: i64,
        parts: StreamParts,
        state: StreamState,
    ) -> Self {
        let StreamParts { store, commit, scheduler, usage } = parts;
        Self {
            name: config.name.as_str().into(),
            id,
            created,
            storage: config.storage,
            store,
            commit,
            usage,
            scheduler,
            visible: AtomicU64::new(state.committed.totals.last_seq),
            first: AtomicU64::new(state.committed.totals.first_seq),
            state: Mutex::new(state),
            config: ArcSwap::from_pointee(config),
            closed: AtomicBool::new(false),
            followers: RwLock::new(Vec::new()),
            consumers: Consumers::default(),
            armed: AtomicI64::new(0),
            turn: Turn::default(),
            gets: DirectGets::default(),
        }
    }

    pub(crate) fn config(&self) -> Arc<StreamConfig> {
        self.config.load_full()
    }

    pub(crate) fn set_config(&self, config: StreamConfig) {
        self.config.store(Arc::new(config));
    }

    /// First sequence that may hold a message; one more than the last when it is empty.
    pub(crate) fn first_seq(&self) -> Seq {
        self.first.load(SeqCst)
    }

    /// Last sequence that readers see.
    pub(crate) fn last_seq(&self) -> Seq {
        self.visible.load(SeqCst)
    }

    /// Counters of what is committed.
    pub(crate) fn totals(&self) -> Totals {
        self.state.lock().committed.totals
    }

    pub(crate) fn num_subjects(&self) -> usize {
        self.state.lock().committed.subjects.len()
    }

    /// See [`StreamState::epoch`].
    pub(super) fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// Counts a sequence without a message. For the committer.
    pub(super) fn skip(&self, seq: Seq, time: i64) {
        let mut state = self.state.lock();
        state.jump(seq + 1);
        state.committed.totals.last_time = time;
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        let _state = self.state.lock();
        self.closed.store(true, SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Lets readers see what is committed. For the committer, when a group is durable.
    pub(super) fn show(&self) {
        let state = self.state.lock();
        self.first.store(state.committed.totals.first_seq, SeqCst);
        self.visible.store(state.committed.totals.last_seq, SeqCst);
    }

    /// Adds somebody who follows it, as of one moment: `join` sees the committed state, and every message that is
    /// committed later is told.
    pub(crate) fn follow<T>(&self, follower: Arc<dyn Follower>, join: impl FnOnce(&StreamState) -> T) -> T {
        // The committer tells followers under the state lock as well; see `told`.
        let state = self.state.lock();
        let joined = join(&state);
        self.followers.write().push(follower);
        joined
    }

    pub(crate) fn unfollow(&self, follower: &Arc<dyn Follower>) {
        self.followers.write().retain(|known| !Arc::ptr_eq(known, follower));
    }

    /// Nobody follows it any more.
    pub(crate) fn forget_followers(&self) {
        self.followers.write().clear();
    }

    pub(crate) fn followers(&self) -> Vec<Arc<dyn Follower>> {
        self.followers.read().clone()
    }

    /// Tells the followers something while nobody can join.
    pub(super) fn tell(&self, tell: impl Fn(&dyn Follower)) {
        let followers = self.followers.read();
        for follower in followers.iter() {
            tell(follower.as_ref());
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}
