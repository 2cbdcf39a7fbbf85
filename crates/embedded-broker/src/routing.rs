//! Who receives a message: the index of subscriptions, and the routes that connections remember from it.
//!
//! There is no router task. A publisher's own task looks its subject up (first in the cache of its connection,
//! then in the shared index) and appends the frame to the outbound buffer of each subscriber. Every change of the
//! index makes a new *generation*; a cache from an older generation is thrown away.
//!
//! Lock order: dispatch of a connection → index → outbound of a connection. No two locks of one kind are held
//! together.

mod cache;
mod fan_out;
mod queue_group;
mod reply_permission;
mod sink;
mod subscription;
mod watch;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use busauth::{SubjectFilter, Sublist};
use parking_lot::{RwLock, RwLockWriteGuard};

pub(crate) use cache::{Route, RouteCache, RouteId};
pub(crate) use fan_out::{Aftermath, FanOut};
pub(crate) use queue_group::Dice;
pub(crate) use reply_permission::ReplyPermissions;
pub(crate) use sink::{Inbound, Sink, Taken};
use subscription::Entry;
pub(crate) use subscription::Subscription;
pub(crate) use watch::{InterestWatcher, Watches};

/// Subscriptions of one filter from which on looking at all of them once is cheaper than searching for each.
const MANY: usize = 8;

/// Subscriptions taken out before others may use the index.
const TURN: usize = 1024;

/// All live subscriptions of a broker, by filter.
pub(crate) struct Index {
    subscriptions: RwLock<Sublist<Entry>>,
    generation: AtomicU64,
    /// Entries that are receivers inside the broker.
    sinks: AtomicUsize,
    watches: Watches,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            subscriptions: RwLock::new(Sublist::new()),
            generation: AtomicU64::new(0),
            sinks: AtomicUsize::new(0),
            watches: Watches::default(),
        }
    }

    /// Changes with every insertion and removal.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Number of subscriptions of clients.
    pub(crate) fn len(&self) -> usize {
        self.subscriptions.read().len() - self.sinks.load(Ordering::Relaxed)
    }

    /// Whom to tell when somebody begins or ends to listen on a subject.
    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    pub(crate) fn insert(&self, subscription: &Arc<Subscription>) {
        let mut subscriptions = self.subscriptions.write();
        subscriptions.insert(subscription.filter(), Entry::Client(Arc::clone(subscription)));
        self.generation.fetch_add(1, Ordering::Release);
        drop(subscriptions);
        self.watches.interest_changed([subscription.filter()]);
    }

    /// Adds a receiver inside the broker.
    pub(crate) fn insert_sink(&self, filter: &SubjectFilter, sink: &Arc<dyn Sink>) {
        let mut subscriptions = self.subscriptions.write();
        subscriptions.insert(filter, Entry::Sink(Arc::clone(sink)));
        self.sinks.fetch_add(1, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes a receiver inside the broker out from under this filter, if it is there.
    pub(crate) fn remove_sink(&self, filter: &SubjectFilter, sink: &Arc<dyn Sink>) {
        let mut subscriptions = self.subscriptions.write();
        if subscriptions.remove(filter, &Entry::Sink(Arc::clone(sink))) {
            self.sinks.fetch_sub(1, Ordering::Relaxed);
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a client would receive something on a subject.
    pub(crate) fn has_interest(&self, subject: &str) -> bool {
        let mut found = false;
        self.subscriptions.read().matches(subject, &mut |entry| found |= entry.is_live());
        found
    }

    /// Whether a client listens on exactly this subject, and not on more: as a member of this queue group, or without
    /// one.
    pub(crate) fn has_listener(&self, subject: &str, queue: Option<&str>) -> bool {
        let mut found = false;
        self.subscriptions.read().matches(subject, &mut |entry| {
            if let Entry::Client(subscription) = entry {
                let same = subscription.queue() == queue && subscription.filter().as_str() == subject;
                found |= same && subscription.is_live();
            }
        });
        found
    }

    /// Takes subscriptions that have ended out; those that are not there are passed over.
    ///
    /// A client may have had a million of them, also under one filter. So each filter is visited once, and whoever
    /// waits for the index has a turn in between: what is still in it is dead, and the new generation comes last.
    pub(crate) fn remove<'a>(&self, gone: impl IntoIterator<Item = &'a Arc<Subscription>>) {
        let mut gone: Vec<_> = gone.into_iter().collect();
        if gone.is_empty() {
            return;
        }
        gone.sort_unstable_by(|a, b| a.filter().as_str().cmp(b.filter().as_str()));
        let mut subscriptions = self.subscriptions.write();
        let mut removed = 0;
        for same in gone.chunk_by(|a, b| a.filter() == b.filter()) {
            let filter = same[0].filter();
            if same.len() < MANY {
                for subscription in same {
                    subscriptions.remove(filter, &Entry::Client(Arc::clone(subscription)));
                }
            } else {
                // Others that have ended go as well; whoever ended them passes them over.
                subscriptions.retain(filter, Entry::is_live);
            }
            removed += same.len();
            if removed >= TURN {
                removed = 0;
                RwLockWriteGuard::bump(&mut subscriptions);
            }
        }
        self.generation.fetch_add(1, Ordering::Release);
        drop(subscriptions);
        self.watches.interest_changed(gone.iter().map(|subscription| subscription.filter()));
    }

    /// Looks up who is subscribed to a subject now.
    pub(crate) fn route(&self, subject: &str) -> Route {
        let mut found = Found::default();
        self.subscriptions.read().matches(subject, &mut |entry| found.add(entry));
        found.route()
    }

    /// The same for everything below a prefix that ends with a dot; `None` when not all of it has the same route.
    fn route_below(&self, prefix: &str) -> Option<Route> {
        let everything: SubjectFilter = format!("{prefix}>").parse().ok()?;
        let subscriptions = self.subscriptions.read();
        let (mut some, mut all, mut found) = (0usize, 0usize, Found::default());
        subscriptions.overlapping(&everything, &mut |_| some += 1);
        subscriptions.covering(&everything, &mut |entry| {
            all += 1;
            found.add(entry);
        });
        (some == all).then(|| found.route())
    }

    /// A plain subscription of one connection that matches a subject.
    pub(crate) fn plain_of(&self, connection: u64, subject: &str) -> Option<Arc<Subscription>> {
        let mut found = None;
        self.subscriptions.read().matches(subject, &mut |entry| {
            if let Entry::Client(subscription) = entry
                && subscription.queue().is_none()
                && subscription.outbound().connection() == connection
            {
                found = Some(Arc::clone(subscription));
            }
        });
        found
    }
}

/// Who receives messages on some subject, sorted by kind.
#[derive(Default)]
struct Found {
    plain: Vec<Arc<Subscription>>,
    queued: Vec<Arc<Subscription>>,
    sinks: Vec<Arc<dyn Sink>>,
}

impl Found {
    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Client(subscription) if subscription.queue().is_none() => {
                self.plain.push(Arc::clone(subscription));
            }
            Entry::Client(subscription) => self.queued.push(Arc::clone(subscription)),
            Entry::Sink(sink) => self.sinks.push(Arc::clone(sink)),
        }
    }

    fn route(self) -> Route {
        Route::new(self.plain, self.queued, self.sinks)
    }
}
