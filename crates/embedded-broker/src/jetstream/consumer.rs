//! A consumer: reads a stream for clients, and remembers what they have.
//!
//! Everything that concerns it arrives in its inbox (acknowledgements, pulls, answers to flow control) or wakes it (new
//! messages, timers, listeners that come and go), and is worked off by one worker at a time. Only what is told by the
//! committer touches its state besides, for a moment: so the state's mutex is never held while the disk is read.
//!
//! Lock order: `Engine::deliveries` → state of the consumer → outbound.

pub(crate) mod ack;
mod deliver;
mod events;
mod flow;
mod info;
mod progress;
pub(crate) mod pull;
mod push;
mod status;
mod stored;

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    clock,
    commit::{CommitQueue, Reply},
    consumer_config::{AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy},
    engine::Engine,
    follower::Follower,
    scheduler::{Run, Scheduler, Turn, Worker},
    store::{Change, Seq, StoreError},
    stream::{Filters, Stream},
    stream_config::Storage,
};
use crate::{
    pressure::Pressure,
    routing::{Index, InterestWatcher},
};

pub(crate) use events::Event;
use flow::FlowControl;
pub(crate) use info::ConsumerInfo;
pub(crate) use progress::Exhausted;
use progress::Progress;
use pull::Waiting;

/// Events that wait for a consumer from which on those who send them are told to wait.
const MAX_EVENTS: usize = 16 * 1024;

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
    state: Mutex<State>,
    inbox: Mutex<Vec<Event>>,
    pressure: Arc<Pressure>,
    turn: Turn,
    /// What reply subjects of deliveries begin with.
    ack_prefix: String,
    stopped: AtomicBool,
    me: Weak<Self>,
}

/// The changing parts of a consumer. Times are nanoseconds since 1970.
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
}

impl Consumer {
    /// A new consumer; it follows its stream from now on. Reads the stream.
    pub(crate) fn create(
        engine: &Engine,
        stream: &Arc<Stream>,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<Arc<Self>, StoreError> {
        let filters = config.filters();
        let (next, listed) = beginning(stream, &filters, &config)?;
        let mut progress = Progress::starting_at(next);
        if let Some(first) = listed.first() {
            progress.passed(first - 1);
        }
        let mut state = State::new(progress, listed);
        if config.replay_policy == ReplayPolicy::Original {
            state.replay_until = stream.last_seq();
        }
        let consumer = Self::with_state(engine, stream, name, config, clock::now(), state);
        consumer.join(&filters)?;
        Ok(consumer)
    }

    fn with_state(
        engine: &Engine,
        stream: &Arc<Stream>,
        name: &str,
        config: ConsumerConfig,
        created: i64,
        state: State,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| Self {
            name: name.into(),
            stream: Arc::clone(stream),
            created,
            index: Arc::clone(&engine.index),
            commit: Arc::clone(&engine.commit),
            scheduler: Arc::clone(&engine.scheduler),
            filters: ArcSwap::from_pointee(config.filters()),
            config: ArcSwap::from_pointee(config),
            state: Mutex::new(state),
            inbox: Mutex::default(),
            pressure: Arc::default(),
            turn: Turn::default(),
            ack_prefix: ack::prefix(&stream.name, name),
            stopped: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    /// Follows the stream, and counts what is in it for this consumer.
    fn join(self: &Arc<Self>, filters: &Filters) -> Result<(), StoreError> {
        let follower: Arc<dyn Follower> = Arc::clone(self) as _;
        // What is committed later is told, and counts itself.
        let upto = self.stream.follow(follower, |state| state.shown.last_seq);
        let (from, listed) = {
            let state = self.state.lock();
            (state.progress.next, state.listed.len() as u64)
        };
        let count = if from <= upto { self.stream.count(filters, from..=upto)? } else { 0 };
        self.state.lock().progress.num_pending += count + listed;
        self.watch();
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ConsumerConfig> {
        self.config.load_full()
    }

    /// Puts a changed configuration in force. Reads the stream when the filter is another one.
    pub(crate) fn reconfigure(self: &Arc<Self>, config: ConsumerConfig) -> Result<(), StoreError> {
        let filters = config.filters();
        if **self.filters.load() != filters {
            self.filters.store(Arc::new(filters.clone()));
            let (from, upto) = (self.state.lock().progress.next, self.stream.totals().last_seq);
            let count = if from <= upto { self.stream.count(&filters, from..=upto)? } else { 0 };
            self.state.lock().progress.num_pending = count;
        }
        self.unwatch();
        self.config.store(Arc::new(config));
        self.watch();
        self.wake();
        Ok(())
    }

    /// Begins anew from a sequence.
    pub(crate) fn reset(&self, next: Seq) -> Result<(), StoreError> {
        let upto = self.stream.totals().last_seq;
        let filters = self.filters.load_full();
        let count = if next <= upto { self.stream.count(&filters, next..=upto)? } else { 0 };
        let mut state = self.state.lock();
        state.progress.reset(next);
        state.progress.num_pending = count;
        state.listed.clear();
        drop(state);
        self.wake();
        Ok(())
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

    /// Puts something into the inbox. Answers whom to wait for when it is full.
    pub(crate) fn tell(&self, event: Event) -> Option<Arc<Pressure>> {
        let full = {
            let mut inbox = self.inbox.lock();
            inbox.push(event);
            inbox.len() > MAX_EVENTS
        };
        if full {
            self.pressure.raise();
        }
        self.wake();
        full.then(|| Arc::clone(&self.pressure))
    }

    /// Lets it run soon.
    pub(crate) fn wake(&self) {
        if let Some(me) = self.me.upgrade() {
            let run: Arc<dyn Run> = me;
            self.scheduler.wake(&run);
        }
    }

    /// Ends it: nothing is delivered any more, and those who wait are told. Removes it from the stream's followers.
    pub(crate) fn stop(self: &Arc<Self>, worker: &mut Worker) {
        self.unwatch();
        let follower: Arc<dyn Follower> = Arc::clone(self) as _;
        self.stream.unfollow(&follower);
        // Under the lock of what is delivered, so that nothing is sent after those who wait were told.
        let mut state = self.state.lock();
        self.stopped.store(true, SeqCst);
        for waiting in state.waiting.drain(..) {
            status::send(&mut worker.sender, &waiting.reply, "409 Consumer Deleted", "");
        }
        drop(state);
        self.pressure.release();
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
        }
    }
}

/// Where a new consumer begins: the first sequence, and single ones before it.
fn beginning(
    stream: &Stream,
    filters: &Filters,
    config: &ConsumerConfig,
) -> Result<(Seq, Vec<Seq>), StoreError> {
    let last = stream.last_seq();
    let next = match config.deliver_policy {
        DeliverPolicy::All => stream.first_seq(),
        DeliverPolicy::New => last + 1,
        DeliverPolicy::Last => stream.last(filters, Seq::MAX)?.map_or(last + 1, |(seq, _)| seq),
        DeliverPolicy::ByStartSequence => config.opt_start_seq.max(stream.first_seq()),
        DeliverPolicy::ByStartTime => match config.opt_start_time {
            Some(time) => stream.seq_at(time.0)?,
            None => last + 1,
        },
        DeliverPolicy::LastPerSubject => {
            let seqs = stream.last_per_subject(filters, Seq::MAX)?;
            return Ok((last + 1, seqs));
        }
    };
    Ok((next, Vec::new()))
}

impl Follower for Consumer {
    fn committed(&self, messages: &[(Seq, Arc<str>)]) {
        let filters = self.filters.load();
        let mut state = self.state.lock();
        let next = state.progress.next;
        let new = messages.iter().filter(|(seq, subject)| *seq >= next && filters.matches(subject)).count();
        state.progress.num_pending += new as u64;
    }

    fn shown(&self) {
        self.wake();
    }

    fn removed(&self, messages: &[(Seq, Arc<str>)]) {
        let filters = self.filters.load();
        let mut state = self.state.lock();
        for (seq, subject) in messages {
            if let Ok(at) = state.listed.binary_search(seq) {
                state.listed.remove(at);
                state.progress.num_pending = state.progress.num_pending.saturating_sub(1);
            } else {
                state.progress.removed(*seq, filters.matches(subject));
            }
        }
        self.announce(&mut state);
    }

    fn purged(&self, first: Seq) {
        let mut state = self.state.lock();
        state.progress.purged(first);
        self.announce(&mut state);
    }

    fn needs(&self, seq: Seq, subject: &str) -> bool {
        self.wants(subject) && self.state.lock().progress.needs(seq)
    }

    fn wants(&self, subject: &str) -> bool {
        self.filters.load().matches(subject)
    }

    fn take_changes(&self, changes: &mut Vec<Change>) -> Vec<Reply> {
        let mut state = self.state.lock();
        state.announced = false;
        if self.is_stopped() || self.keeps_nothing() {
            drop(state.progress.take_changes());
        } else {
            self.store_changes(&mut state, changes);
        }
        std::mem::take(&mut state.replies)
    }

    fn keeps_state_in_memory(&self) -> bool {
        self.keeps_nothing()
    }
}

impl InterestWatcher for Consumer {
    fn interest_changed(&self) {
        self.wake();
    }
}

impl Run for Consumer {
    fn run(self: Arc<Self>, worker: &mut Worker) {
        if self.is_stopped() {
            return;
        }
        let events = std::mem::take(&mut *self.inbox.lock());
        self.pressure.release();
        let now = clock::now();
        let config = self.config();
        self.work_off(events, &config, worker, now);
        self.look_at_clock(&config, worker, now);
        let more = self.deliver(&config, worker);
        if self.inactive(&config, now) {
            super::api::consumers::expire(&self, worker);
            return;
        }
        let mut state = self.state.lock();
        self.announce(&mut state);
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
    /// Lets the committer know of changes.
    fn announce(&self, state: &mut State) {
        let changed = !state.replies.is_empty() || (!self.keeps_nothing() && state.progress.has_changes());
        if changed && !state.announced && !self.is_stopped() {
            state.announced = true;
            if let Some(me) = self.me.upgrade() {
                self.commit.changed(me);
            }
        }
    }

    /// Whether nobody used it for so long that it goes.
    fn inactive(&self, config: &ConsumerConfig, now: i64) -> bool {
        let mut state = self.state.lock();
        config.inactive_threshold > 0
            && self
                .idle_since(&mut state, config)
                .is_some_and(|since| since + config.inactive_threshold <= now)
    }

    /// Since when nobody uses it; `None` while somebody does.
    fn idle_since(&self, state: &mut State, config: &ConsumerConfig) -> Option<i64> {
        if config.is_push() {
            return (!state.active).then_some(state.last_used);
        }
        state.waiting.retain(|waiting| self.index.has_interest(&waiting.reply));
        let acks_due = config.ack_policy != AckPolicy::None && state.progress.num_ack_pending() > 0;
        (state.waiting.is_empty() && !acks_due).then_some(state.last_used)
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
        if config.inactive_threshold > 0 {
            at(self.idle_since(state, config).map(|since| since + config.inactive_threshold));
        }
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
