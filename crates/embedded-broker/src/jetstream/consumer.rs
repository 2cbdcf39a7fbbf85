//! A consumer: reads a stream for clients, and remembers what they have.
//!
//! Everything that concerns it arrives in its inbox (acknowledgements, pulls, answers to flow control) or wakes it (new
//! messages, timers, listeners that come and go), and is worked off by one worker at a time. Only what is told by the
//! committer touches its state besides, for a moment: so the state's mutex is never held while the disk is read.
//!
//! Lock order: `Engine::deliveries` → state of the consumer → outbound.

pub(crate) mod ack;
mod creator;
mod deliver;
mod events;
mod flow;
mod following;
mod info;
mod joining;
mod progress;
pub(crate) mod pull;
mod push;
mod status;
mod stored;

use std::{
    collections::{HashSet, VecDeque},
    ops::Range,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;

use super::{
    advisory, clock,
    commit::{CommitQueue, Reply},
    consumer_config::{AckPolicy, ConsumerConfig},
    follower::Follower,
    scheduler::{Run, Scheduler, Turn, Worker},
    sender::Sender,
    store::{Record, Seq},
    stream::{Filters, Stream},
    stream_config::Storage,
};
use crate::{
    pressure::Pressure,
    routing::{Index, InterestWatcher},
};

pub(crate) use creator::Creator;
pub(crate) use events::Event;
use flow::FlowControl;
pub(crate) use info::ConsumerInfo;
pub(crate) use joining::NotJoined;
use progress::Progress;
pub(crate) use progress::{Exhausted, Finished};
use pull::Waiting;

/// Events that wait for a consumer from which on those who send them are told to wait.
const MAX_EVENTS: usize = 16 * 1024;

/// How long changes of its state may wait for others to be stored with, in nanoseconds. What a client waits for is
/// stored at once.
const SAVE_AFTER: i64 = 20_000_000;

/// Parts of the stream that are remembered until a group shows. More than a group lasts for; beyond it a count can be
/// too high until the end of the stream is reached.
const MAX_PASSED: usize = 1024;

/// Messages that left the stream and are still to be announced; more are not.
const MAX_LOST: usize = 4096;

/// A consumer of a stream.
pub(crate) struct Consumer {
    pub(crate) name: Arc<str>,
    pub(crate) stream: Arc<Stream>,
    /// Nanoseconds since 1970.
    pub(crate) created: i64,
    index: Arc<Index>,
    commit: Arc<CommitQueue>,
    scheduler: Arc<Scheduler>,
    config: ArcSwap<ConsumerConfig>,
    filters: ArcSwap<Filters>,
    /// Whose rights the deliveries of a push consumer need; none when the broker itself made it.
    creator: ArcSwapOption<Creator>,
    /// Held by a turn, and by whoever changes what a turn goes by.
    serial: Mutex<()>,
    state: Mutex<State>,
    inbox: Mutex<Vec<Event>>,
    pressure: Arc<Pressure>,
    turn: Turn,
    /// What reply subjects of deliveries begin with.
    ack_prefix: String,
    /// It is stored, and whoever made it was told: it may deliver.
    started: AtomicBool,
    stopped: AtomicBool,
    me: Weak<Self>,
}

/// The changing parts of a consumer. Times are nanoseconds since 1970.
#[expect(clippy::struct_excessive_bools, reason = "each says something else about the moment")]
struct State {
    progress: Progress,
    /// The last message of each subject, for a consumer that begins with those: to be delivered before `progress.next`.
    listed: VecDeque<Seq>,
    /// Pulls, the next one to be served first.
    waiting: VecDeque<Waiting>,
    /// Acknowledgements of acknowledgements, which go out when these are stored.
    replies: Vec<Reply>,
    /// The committer knows that there are changes.
    announced: bool,
    /// When the committer is told of changes that nobody waits for.
    save_at: Option<i64>,
    /// When the next timer fires; 0 when none is set.
    armed: i64,
    /// When somebody used it last.
    last_used: i64,
    /// Whether somebody listens, for a push consumer.
    active: bool,
    next_heartbeat: Option<i64>,
    flow: FlowControl,
    /// Nothing is delivered before, by rate limit or replay.
    not_before: i64,
    /// The message that was replayed last: when it was stored, and when it was sent.
    replayed: Option<(i64, i64)>,
    /// Messages up to this one are replayed at the pace they came.
    replay_until: Seq,
    /// Acknowledgements since one was reported.
    sampled: u64,
    /// State entries of messages that are stored.
    stored: HashSet<Seq>,
    /// The last message it was told of.
    told: Seq,
    /// It was told of a message that it wants, and was not woken since.
    fresh: bool,
    /// The stream is being read: what leaves it meanwhile is in `gone`.
    reading: bool,
    gone: Vec<Seq>,
    /// Parts of the stream that were read while a group removed messages from it.
    passed: Vec<Passed>,
    /// New messages that are read and not sent, ascending; everything before `ahead_next` was looked at.
    ahead: VecDeque<(Seq, Record)>,
    ahead_next: Seq,
    /// Messages that waited for their acknowledgement when they left the stream, to be announced.
    lost: Vec<Finished>,
    /// Raised with every round of deliveries: a request whose rights were looked at in this one may go on.
    round: u64,
    /// Where reply subjects are put together.
    scratch: String,
}

/// A part of the stream that was read while a group removed messages from it. Those were not found and are counted
/// still: the group tells of them when it shows.
struct Passed {
    range: Range<Seq>,
    /// What was found, ascending.
    found: Vec<Seq>,
}

impl Passed {
    /// Whether a message was missing.
    fn missed(&self, seq: Seq) -> bool {
        self.range.contains(&seq) && self.found.binary_search(&seq).is_err()
    }
}

impl Consumer {
    pub(crate) fn config(&self) -> Arc<ConsumerConfig> {
        self.config.load_full()
    }

    /// Where the messages of what is acknowledged here are kept.
    fn keeps_nothing(&self) -> bool {
        self.config.load().mem_storage || self.stream.storage == Storage::Memory
    }

    fn watched(&self) -> Option<Box<str>> {
        let config = self.config.load();
        config.is_push().then(|| config.deliver_subject.as_str().into())
    }

    /// Wants to know who listens to it.
    fn watch(&self) {
        if let Some(subject) = self.watched() {
            let watcher: Weak<dyn InterestWatcher> = self.me.clone() as _;
            self.index.watches().watch(&subject, watcher);
        }
    }

    fn unwatch(&self) {
        if let Some(subject) = self.watched() {
            self.index.watches().unwatch(&subject, &(self.me.clone() as Weak<dyn InterestWatcher>));
        }
    }

    /// Puts something into the inbox; it is looked at after the scheduler's next nudge. Answers whom to wait for when
    /// the inbox is full.
    pub(crate) fn tell(&self, event: Event) -> Option<Arc<Pressure>> {
        let full = {
            let mut inbox = self.inbox.lock();
            inbox.push(event);
            inbox.len() > MAX_EVENTS
        };
        if full {
            self.pressure.raise();
        }
        if let Some(me) = self.me.upgrade() {
            let run: Arc<dyn Run> = me;
            self.scheduler.queue(&run);
        }
        full.then(|| Arc::clone(&self.pressure))
    }

    /// Lets it run soon.
    pub(crate) fn wake(&self) {
        if let Some(me) = self.me.upgrade() {
            let run: Arc<dyn Run> = me;
            self.scheduler.wake(&run);
        }
    }

    /// Lets it deliver.
    pub(crate) fn start(&self) {
        self.started.store(true, SeqCst);
        self.wake();
    }

    /// Ends it: nothing is delivered any more, and those who wait are told. Removes it from the stream's followers.
    pub(crate) fn stop(self: &Arc<Self>, sender: &mut Sender) {
        self.unwatch();
        let follower: Arc<dyn Follower> = Arc::clone(self) as _;
        self.stream.unfollow(&follower);
        // Under the lock of what is delivered, so that nothing is sent after those who wait were told.
        let mut state = self.state.lock();
        self.stopped.store(true, SeqCst);
        for waiting in state.waiting.drain(..) {
            status::send(sender, &waiting.reply, "409 Consumer Deleted", "");
        }
        drop(state);
        self.pressure.release();
    }

    /// Takes note of who made it. Answers whether it was the same before.
    pub(crate) fn is_made_by(&self, creator: Option<Creator>) -> bool {
        let before = self.creator.swap(creator.map(Arc::new));
        let now = self.creator.load();
        before.as_ref().map(|creator| creator.stored()) == now.as_ref().map(|creator| creator.stored())
    }

    /// Whether its deliveries may go on, for a push consumer. See [`Creator::may_go_on`].
    fn may_push(&self) -> bool {
        self.creator.load().as_ref().is_none_or(|creator| creator.may_go_on())
    }

    /// Whether somebody listens to it.
    pub(crate) fn is_in_use(&self) -> bool {
        self.is_bound(&self.config())
    }

    /// Everything up to this sequence is done.
    pub(crate) fn ack_floor(&self) -> Seq {
        self.state.lock().progress.floor.stream
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }
}

impl State {
    fn new(progress: Progress, listed: Vec<Seq>) -> Self {
        Self {
            progress,
            listed: listed.into(),
            waiting: VecDeque::new(),
            replies: Vec::new(),
            announced: false,
            save_at: None,
            armed: 0,
            last_used: clock::now(),
            active: false,
            next_heartbeat: None,
            flow: FlowControl::default(),
            not_before: 0,
            replayed: None,
            replay_until: 0,
            sampled: 0,
            stored: HashSet::new(),
            told: 0,
            fresh: false,
            reading: false,
            gone: Vec::new(),
            passed: Vec::new(),
            ahead: VecDeque::new(),
            ahead_next: 0,
            lost: Vec::new(),
            round: 0,
            scratch: String::new(),
        }
    }

    /// Whether somebody would take a message.
    fn is_hungry(&self) -> bool {
        self.active || !self.waiting.is_empty()
    }

    /// Where new messages are read next.
    fn next_unread(&self) -> Seq {
        self.progress.next.max(self.ahead_next)
    }

    /// Forgets what was read and not sent; it is read again.
    fn forget_ahead(&mut self) {
        self.ahead = VecDeque::new();
        self.ahead_next = 0;
    }

    /// The last one of its subject, or one that is new: to be delivered for the first time.
    fn is_undelivered(&self, seq: Seq) -> bool {
        seq >= self.progress.next || self.listed.binary_search(&seq).is_ok()
    }
}

impl Run for Consumer {
    fn run(self: Arc<Self>, worker: &mut Worker) {
        if self.is_stopped() {
            return;
        }
        let _turn = self.serial.lock();
        if !self.started.load(SeqCst) {
            return;
        }
        let events = std::mem::take(&mut *self.inbox.lock());
        self.pressure.release();
        let now = clock::now();
        let config = self.config();
        self.announce_lost(worker);
        self.work_off(events, &config, worker, now);
        self.look_at_clock(&config, worker, now);
        let more = self.deliver(&config, worker);
        if self.inactive(&config, now) {
            super::api::consumers::expire(&self, worker);
            return;
        }
        let mut state = self.state.lock();
        self.save(&mut state, now);
        self.arm(&mut state, &config, now);
        drop(state);
        if more {
            self.wake();
        }
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}

impl Consumer {
    /// Sees to it that changes are stored: at once when a client waits for that, else together with what follows.
    fn save(&self, state: &mut State, now: i64) {
        if !state.is_hungry() && state.last_used.saturating_add(SAVE_AFTER) <= now {
            // Nobody asks any more: it takes no memory.
            state.forget_ahead();
        }
        if self.keeps_nothing() {
            drop(state.progress.take_changes());
        } else if state.progress.has_changes() {
            let due = *state.save_at.get_or_insert(now + SAVE_AFTER);
            if due <= now {
                self.announce(state);
            }
        }
        if !state.replies.is_empty() {
            self.announce(state);
        }
    }

    /// Lets the committer know of changes.
    fn announce(&self, state: &mut State) {
        if !state.announced && !self.is_stopped() {
            state.announced = true;
            state.save_at = None;
            if let Some(me) = self.me.upgrade() {
                self.commit.changed(me);
            }
        }
    }

    /// Has what is not stored stored, because the broker stops.
    pub(crate) fn save_now(&self) {
        let mut state = self.state.lock();
        if !self.keeps_nothing() && state.progress.has_changes() {
            self.announce(&mut state);
        }
    }

    /// Announces messages that left the stream while they waited for their acknowledgement.
    fn announce_lost(&self, worker: &mut Worker) {
        let lost = std::mem::take(&mut self.state.lock().lost);
        for message in lost {
            let reason = "Unacknowledged message was deleted";
            advisory::terminated(&mut worker.sender, self, &message, reason);
        }
    }

    /// Whether nobody used it for so long that it goes.
    fn inactive(&self, config: &ConsumerConfig, now: i64) -> bool {
        let mut state = self.state.lock();
        let threshold = config.inactive_threshold;
        threshold > 0 && state.last_used.saturating_add(threshold) <= now && !self.is_used(&mut state, config)
    }

    /// Whether somebody uses it at this moment. Messages that wait to be delivered again do not count: nobody asks for
    /// them.
    fn is_used(&self, state: &mut State, config: &ConsumerConfig) -> bool {
        if config.is_push() {
            return state.active;
        }
        state.waiting.retain(|waiting| self.index.has_interest(&waiting.reply));
        !state.waiting.is_empty() || state.progress.next_deadline().is_some()
    }

    /// When to look whether it is used.
    fn next_look(state: &State, config: &ConsumerConfig, now: i64) -> Option<i64> {
        if config.inactive_threshold == 0 || (config.is_push() && state.active) {
            return None;
        }
        let due = state.last_used.saturating_add(config.inactive_threshold);
        // Somebody used it when it was looked at; nobody tells when that ends.
        Some(if due > now { due } else { now.saturating_add(config.inactive_threshold) })
    }

    /// Sets the timer for what comes next.
    fn arm(&self, state: &mut State, config: &ConsumerConfig, now: i64) {
        let mut next = i64::MAX;
        let mut at = |time: Option<i64>| next = next.min(time.unwrap_or(i64::MAX));
        at(state.progress.next_deadline());
        at(state.next_heartbeat);
        at((state.not_before > now).then_some(state.not_before));
        at(config.pause_until.map(|time| time.0).filter(|until| *until > now));
        for waiting in &state.waiting {
            at(waiting.next_look());
        }
        at(Self::next_look(state, config, now));
        at(state.save_at);
        at((!state.ahead.is_empty())
            .then(|| state.last_used.saturating_add(SAVE_AFTER))
            .filter(|at| *at > now));
        if next == i64::MAX || (state.armed > now && state.armed <= next) {
            return;
        }
        state.armed = next;
        let me: Weak<dyn Run> = self.me.clone() as _;
        self.scheduler.at(clock::instant(next), me);
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("stream", &self.stream.name)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
