//! One subscription of one connection.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use busauth::{QueueGroup, SubjectFilter};

use super::sink::Sink;
use crate::session::Outbound;

/// A subscription. Its changing parts are read and written only under the mutex of its connection's
/// [`Outbound`]; they are atomics because that mutex is not around this struct, and `Relaxed` because it is what
/// orders them.
pub(crate) struct Subscription {
    filter: SubjectFilter,
    queue: Option<QueueGroup>,
    sid: Box<[u8]>,
    outbound: Arc<Outbound>,
    /// Nothing is appended for a subscription that does not live.
    live: AtomicBool,
    /// Whether the filter overlaps something its connection may not receive.
    filtered: AtomicBool,
    delivered: AtomicU64,
    /// Ends after so many deliveries; 0 for no end.
    max: AtomicU64,
}

/// Who receives, in the index, where identity counts and not content.
#[derive(Clone)]
pub(super) enum Entry {
    Client(Arc<Subscription>),
    Sink(Arc<dyn Sink>),
}

impl Entry {
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Client(subscription) => subscription.is_live(),
            Self::Sink(_) => true,
        }
    }
}

impl Subscription {
    pub(crate) fn new(
        filter: SubjectFilter,
        queue: Option<QueueGroup>,
        sid: &[u8],
        filtered: bool,
        outbound: Arc<Outbound>,
    ) -> Self {
        Self {
            filter,
            queue,
            sid: sid.into(),
            outbound,
            live: AtomicBool::new(true),
            filtered: AtomicBool::new(filtered),
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }

    pub(crate) fn filter(&self) -> &SubjectFilter {
        &self.filter
    }

    pub(crate) fn queue(&self) -> Option<&str> {
        self.queue.as_ref().map(QueueGroup::as_str)
    }

    /// The client's name for it.
    pub(crate) fn sid(&self) -> &[u8] {
        &self.sid
    }

    /// Where its messages go.
    pub(crate) fn outbound(&self) -> &Arc<Outbound> {
        &self.outbound
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Relaxed)
    }

    pub(crate) fn end(&self) {
        self.live.store(false, Relaxed);
    }

    pub(crate) fn is_filtered(&self) -> bool {
        self.filtered.load(Relaxed)
    }

    pub(crate) fn set_filtered(&self, filtered: bool) {
        self.filtered.store(filtered, Relaxed);
    }

    /// Counts a delivery. Answers whether it was the last one, and ends the subscription then.
    pub(crate) fn count_delivery(&self) -> bool {
        let delivered = self.delivered.load(Relaxed) + 1;
        self.delivered.store(delivered, Relaxed);
        let last = delivered == self.max.load(Relaxed);
        if last {
            self.end();
        }
        last
    }

    /// Sets the number of deliveries after which it ends. Answers whether that is now.
    pub(crate) fn end_after(&self, max: Option<u64>) -> bool {
        let max = max.filter(|max| *max > self.delivered.load(Relaxed));
        self.max.store(max.unwrap_or(0), Relaxed);
        if max.is_none() {
            self.end();
        }
        max.is_none()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &self.filter)
            .field("queue", &self.queue)
            .field("sid", &String::from_utf8_lossy(&self.sid))
            .field("connection", &self.outbound.connection())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Client(a), Self::Client(b)) => Arc::ptr_eq(a, b),
            (Self::Sink(a), Self::Sink(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
