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
mod tail;
mod totals;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::{
    commit::{CommitQueue, Done, Failure, Operation, Purge},
    direct_get::DirectGets,
    follower::{Follower, Purged},
    scheduler::{Scheduler, Turn},
    sender::Sender,
    store::{Seq, StreamId, StreamStore},
    stream_config::{Storage, StreamConfig},
    usage::Usage,
};

use consumers::Consumers;
use expiry::Expiry;
pub(crate) use filters::Filters;
pub(crate) use recover::RecoverError;
pub(crate) use state::{Committed, StreamState};
use tail::Tail;
pub(crate) use tail::Tails;
pub(crate) use totals::{Listing, SubjectTotals, Totals, message_bytes};

/// One step of [`Stream::changing`]: a group, and a failed one that does not show yet, are two at the same time at most.
const CHANGED: u64 = 1 << 8;

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
    /// Nothing is written any more: it is not stored, or about not to be.
    forgotten: AtomicBool,
    /// Raised when a group of the stream could not be written: what was assigned before is void.
    epoch: AtomicU64,
    /// It could not be read back after a group failed: nothing is taken or written until it can.
    unread: AtomicBool,
    /// How often what is committed began or ceased to differ from what shows, in steps of [`CHANGED`], and in the bits
    /// below how many hold it so at this moment.
    changing: AtomicU64,
    /// Held while the committer tells followers of a group, and while one joins.
    joining: Mutex<()>,
    followers: RwLock<Vec<Arc<dyn Follower>>>,
    /// The newest messages.
    tail: Tail,
    pub(crate) consumers: Consumers,
    expiry: Expiry,
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
        let tail = commit.tails.tail();
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
            forgotten: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            changing: AtomicU64::new(0),
            joining: Mutex::new(()),
            followers: RwLock::new(Vec::new()),
            tail,
            consumers: Consumers::default(),
            expiry: Expiry::default(),
            turn: Turn::default(),
            gets: DirectGets::default(),
        }
    }

    pub(crate) fn config(&self) -> Arc<StreamConfig> {
        self.config.load_full()
    }

    /// For the committer.
    pub(super) fn set_config(&self, config: Arc<StreamConfig>) {
        self.config.store(config);
    }

    /// First sequence that may hold a message; one more than the last when it is empty.
    pub(crate) fn first_seq(&self) -> Seq {
        self.first.load(SeqCst)
    }

    /// Last sequence that readers see.
    pub(crate) fn last_seq(&self) -> Seq {
        self.visible.load(SeqCst)
    }

    /// Counters of what readers see.
    pub(crate) fn totals(&self) -> Totals {
        self.state.lock().shown
    }

    /// Subjects that readers see.
    pub(crate) fn num_subjects(&self) -> usize {
        self.state.lock().shown_subjects
    }

    /// Counters of what is committed. For the committer.
    pub(super) fn committed_totals(&self) -> Totals {
        self.state.lock().committed.totals
    }

    /// The first sequence as clients see it: a stream that never had a message and was never purged has none.
    pub(crate) fn first_seq_shown(&self) -> Seq {
        let state = self.state.lock();
        let Totals { first_seq, last_seq, .. } = state.shown;
        if last_seq == 0 && !state.was_purged { 0 } else { first_seq }
    }

    /// Whether readers see all that was taken.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.assigned.last_seq == state.shown.last_seq
    }

    /// What a message must be of that is not void: see [`StreamState`].
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(SeqCst)
    }

    /// Purges messages, after what was taken before.
    pub(super) fn purge(
        self: &Arc<Self>,
        purge: Purge,
        then: impl FnOnce(Result<Done, Failure>, &mut Sender) + Send + 'static,
    ) {
        // Under the state's lock, so that sequences that are given away from now on are queued after it.
        let mut state = self.state.lock();
        if let Some(end) = purge.end() {
            state.promise(end);
        }
        self.commit.operate(self, Operation::Purge(purge), then);
    }

    /// It is not stored any more, or about not to be: nothing is taken or written, and what it held counts for nothing.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        self.closed.store(true, SeqCst);
        if self.forgotten.swap(true, SeqCst) {
            return;
        }
        self.usage.subtract(self.storage, state.bytes());
        state.assigned.bytes = 0;
        state.committed.totals.bytes = 0;
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(SeqCst)
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        let _state = self.state.lock();
        self.closed.store(true, SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Lets readers see what is committed, and tells the followers what a group did. For the committer, when the group
    /// is durable.
    pub(super) fn show(&self, added: &[(Seq, Arc<str>)], removed: &[(Seq, Arc<str>)], purged: &[Purged]) {
        let _nobody_joins = self.joining.lock();
        // Copied, so that no lock is held that whoever leaves needs.
        let followers = self.followers();
        let tell = |tell: &dyn Fn(&dyn Follower)| followers.iter().for_each(|one| tell(one.as_ref()));
        for purged in purged {
            tell(&|one| one.purging(purged));
        }
        if !removed.is_empty() {
            tell(&|one| one.removed(removed));
        }
        for purged in purged {
            tell(&|one| one.purged(purged));
        }
        if !added.is_empty() {
            // Counted before it can be read: what is delivered is taken off again.
            tell(&|one| one.committed(added));
        }
        {
            let mut state = self.state.lock();
            state.show();
            self.first.store(state.shown.first_seq, SeqCst);
            self.visible.store(state.shown.last_seq, SeqCst);
        }
        if !added.is_empty() || !removed.is_empty() {
            tell(&|one| one.shown());
        }
    }

    /// Adds somebody who follows it, as of one moment: `join` is told the last sequence that can be read, and every
    /// later one is told.
    pub(crate) fn follow<T>(&self, follower: Arc<dyn Follower>, join: impl FnOnce(&StreamState) -> T) -> T {
        let _nothing_is_told = self.joining.lock();
        let state = self.state.lock();
        let joined = join(&state);
        self.followers.write().push(follower);
        joined
    }

    /// Runs `look` while what is committed is what shows. `None` when a group changed it meanwhile: then what was seen may
    /// be half of what the group did.
    pub(crate) fn between_groups<T>(&self, look: impl FnOnce() -> T) -> Option<T> {
        let before = self.changing.load(SeqCst);
        if !before.is_multiple_of(CHANGED) {
            return None;
        }
        let seen = look();
        (self.changing.load(SeqCst) == before).then_some(seen)
    }

    /// Whether a group changes what is committed at this moment: what is read may miss what it removes, which is told when
    /// it shows.
    pub(crate) fn is_changing(&self) -> bool {
        !self.changing.load(SeqCst).is_multiple_of(CHANGED)
    }

    /// Whether it could not be read back after a group failed, and has yet to be.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(SeqCst)
    }

    /// Notes whether it could be read back; answers whether it could before. For the committer.
    pub(super) fn set_unread(&self, unread: bool) -> bool {
        self.unread.swap(unread, SeqCst)
    }

    /// Takes somebody out. What is taken from now on is taken without it.
    pub(crate) fn unfollow(&self, follower: &Arc<dyn Follower>) {
        let _state = self.state.lock();
        self.followers.write().retain(|known| !Arc::ptr_eq(known, follower));
    }

    /// Nobody follows it any more.
    pub(crate) fn forget_followers(&self) {
        self.followers.write().clear();
    }

    pub(crate) fn followers(&self) -> Vec<Arc<dyn Follower>> {
        self.followers.read().clone()
    }

    /// Whether somebody who follows it wants messages of this subject.
    pub(super) fn is_wanted(&self, subject: &str) -> bool {
        self.followers.read().iter().any(|one| one.wants(subject))
    }
}

/// A stream is being changed by a group, for as long as this lives. For the committer.
pub(super) struct Changing(Arc<Stream>);

impl Changing {
    pub(super) fn begin(stream: &Arc<Stream>) -> Self {
        stream.changing.fetch_add(CHANGED + 1, SeqCst);
        Self(Arc::clone(stream))
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.changing.fetch_add(CHANGED - 1, SeqCst);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}
