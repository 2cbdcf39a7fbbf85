//! A consumer joins its stream: where it begins, and how much of it there is for it.
//!
//! What is counted has to be of one moment: a message that is removed while others are counted would be taken off
//! twice, or never. So it is counted while no group changes the stream; where groups follow one another without a
//! pause, the committer itself counts between two of them.

use std::sync::{Arc, Weak, atomic::AtomicBool};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;

use super::{Consumer, Creator, State, ack, progress::Progress};
use crate::jetstream::{
    clock,
    commit::CommitQueue,
    consumer_config::{ConsumerConfig, DeliverPolicy, ReplayPolicy},
    engine::Engine,
    follower::Follower,
    scheduler::Turn,
    store::{Seq, StoreError},
    stream::{Filters, Stream},
};

/// Why a consumer could not join its stream, or look at it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotJoined {
    #[error(transparent)]
    Unreadable(#[from] StoreError),
    /// Nothing was committed for so long that nobody waits any more.
    #[error("nothing is stored at this moment: the broker is stopping, or its disk does not answer")]
    Stuck,
}

impl Consumer {
    /// A new consumer; it follows its stream from now on, and delivers when it is started. Reads the stream.
    pub(crate) fn create(
        engine: &Engine,
        stream: &Arc<Stream>,
        name: &str,
        config: ConsumerConfig,
        creator: Option<Creator>,
    ) -> Result<Arc<Self>, NotJoined> {
        let state = State::new(Progress::default(), Vec::new());
        let consumer = Self::with_state(engine, stream, name, config, clock::now(), creator, state);
        let joined = consumer.at_one_moment(|consumer| {
            let config = consumer.config();
            let (next, listed) = beginning(&consumer.stream, &config.filters(), &config)?;
            let mut progress = Progress::starting_at(next);
            if let Some(first) = listed.first() {
                progress.passed(first - 1);
            }
            let mut state = State::new(progress, listed);
            if config.replay_policy == ReplayPolicy::Original {
                state.replay_until = consumer.stream.last_seq();
            }
            *consumer.state.lock() = state;
            consumer.join()
        });
        if let Err(error) = joined {
            // What it would have wanted is not to be kept for it.
            let follower: Arc<dyn Follower> = Arc::clone(&consumer) as _;
            consumer.stream.unfollow(&follower);
            return Err(error);
        }
        consumer.watch();
        Ok(consumer)
    }

    pub(super) fn with_state(
        engine: &Engine,
        stream: &Arc<Stream>,
        name: &str,
        config: ConsumerConfig,
        created: i64,
        creator: Option<Creator>,
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
            creator: ArcSwapOption::from_pointee(creator),
            serial: Mutex::new(()),
            state: Mutex::new(state),
            inbox: Mutex::default(),
            pressure: Arc::default(),
            turn: Turn::default(),
            ack_prefix: ack::prefix(&stream.name, name),
            started: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    /// Does something that sees the stream as of one moment. It may be done more than once, and then begins anew.
    fn at_one_moment(
        self: &Arc<Self>,
        look: impl Fn(&Arc<Self>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), NotJoined> {
        if let Some(seen) = self.stream.between_groups(|| look(self)) {
            return Ok(seen?);
        }
        let (me, commit): (_, Arc<CommitQueue>) = (Arc::clone(self), Arc::clone(&self.commit));
        let seen = commit.between_groups(move || look(&me)).ok_or(NotJoined::Stuck)?;
        Ok(seen?)
    }

    /// Follows the stream, and counts what is in it for this consumer, at one moment.
    pub(super) fn join(self: &Arc<Self>) -> Result<(), StoreError> {
        let follower: Arc<dyn Follower> = Arc::clone(self) as _;
        self.stream.unfollow(&follower);
        // What is committed later is told, and counts itself.
        let upto = self.stream.follow(follower, |state| state.shown.last_seq);
        let next = {
            let mut state = self.state.lock();
            state.told = upto;
            state.progress.next
        };
        let filters = self.filters.load_full();
        let count = if next <= upto { self.stream.count(&filters, next..=upto)? } else { 0 };
        let mut state = self.state.lock();
        let listed = state.listed.len() as u64;
        state.progress.num_pending += count + listed;
        Ok(())
    }

    /// Counts again what is in the stream for this consumer, from where it is or from another place. To be called
    /// while `serial` is held, at one moment.
    fn recount(&self, from: Option<Seq>) -> Result<(), StoreError> {
        let upto = self.stream.last_seq();
        let next = from.unwrap_or_else(|| self.state.lock().progress.next);
        let filters = self.filters.load_full();
        let count = if next <= upto { self.stream.count(&filters, next..=upto)? } else { 0 };
        let mut state = self.state.lock();
        state.forget_ahead();
        state.passed.clear();
        if from.is_some() {
            state.progress.reset(next);
            state.listed.clear();
        }
        let listed = state.listed.len() as u64;
        state.progress.num_pending = count + listed;
        Ok(())
    }

    /// Puts a changed configuration in force. Reads the stream when the filter is another one.
    pub(crate) fn reconfigure(self: &Arc<Self>, config: ConsumerConfig) -> Result<(), NotJoined> {
        let filters = config.filters();
        let turn = self.serial.lock();
        if **self.filters.load() != filters {
            let filters = Arc::new(filters);
            self.at_one_moment(move |consumer| {
                consumer.filters.store(Arc::clone(&filters));
                // What was listed is the last of subjects of the filter before.
                consumer.state.lock().listed.clear();
                consumer.recount(None)
            })?;
        }
        self.unwatch();
        self.config.store(Arc::new(config));
        self.watch();
        drop(turn);
        self.wake();
        Ok(())
    }

    /// Begins anew from a sequence.
    pub(crate) fn reset(self: &Arc<Self>, next: Seq) -> Result<(), NotJoined> {
        let turn = self.serial.lock();
        self.at_one_moment(move |consumer| consumer.recount(Some(next)))?;
        drop(turn);
        self.wake();
        Ok(())
    }
}

/// Where a new consumer begins: the first sequence, and single ones before it.
fn beginning(
    stream: &Stream,
    filters: &Filters,
    config: &ConsumerConfig,
) -> Result<(Seq, Vec<Seq>), StoreError> {
    let (first, last) = (stream.first_seq(), stream.last_seq());
    let next = match config.deliver_policy {
        DeliverPolicy::All => first,
        DeliverPolicy::New => last + 1,
        // Where the last one was, also when it is deleted.
        DeliverPolicy::Last if filters.is_everything() => last.max(first),
        // Whatever comes is the last one, where there is none.
        DeliverPolicy::Last => stream.last(filters, last)?.map_or(first, |(seq, _)| seq),
        DeliverPolicy::ByStartSequence => config.opt_start_seq.max(first),
        DeliverPolicy::ByStartTime => match config.opt_start_time {
            Some(time) => stream.seq_at(time.0)?,
            None => last + 1,
        },
        DeliverPolicy::LastPerSubject => {
            let seqs = stream.last_per_subject(filters, last)?;
            let next = if seqs.is_empty() { last.max(first) } else { last + 1 };
            return Ok((next, seqs));
        }
    };
    Ok((next, Vec::new()))
}
