//! One client connection, from accept to close.
//!
//! ```text
//! accept ─► (TLS) ─► INFO ─► CONNECT ─► operations … ─► closing
//!                      └── read loop: bytes → batch of operations, under `dispatch`
//!                      └── write loop: outbound buffer → socket
//! ```
//!
//! Both loops run in one task, which the broker's task tracker owns. A [`Connection`] is what other tasks see of it:
//! they append to its [`Outbound`], change its rights, or end it.

mod batch;
mod chunks;
mod client;
mod close_reason;
mod keepalive;
mod login;
mod outbound;
mod plain_writer;
mod publish;
mod read_loop;
mod run;
mod subscribe;
mod write_loop;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use busauth::{Acl, Principal};
use parking_lot::Mutex;

use crate::{
    listener::Door,
    routing::{Aftermath, Dice, RouteCache, Subscription},
};

pub(crate) use client::Client;
pub(crate) use close_reason::CloseReason;
pub use close_reason::DisconnectReason;
pub(crate) use outbound::{After, Delivery, Outbound, Traffic};
pub(crate) use plain_writer::PlainWriter;
pub(crate) use run::run;
pub(crate) use subscribe::violation;

/// One client connection, as the rest of the broker sees it.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) remote: SocketAddr,
    pub(crate) since: SystemTime,
    /// The listener it came through, which knows how to log in.
    pub(crate) door: Arc<Door>,
    /// What the client signs.
    pub(crate) nonce: String,
    /// Leaf certificate of the client, when TLS verified one.
    pub(crate) tls_peer: Option<Vec<u8>>,
    pub(crate) tls: bool,
    pub(crate) outbound: Arc<Outbound>,
    /// What the client may do. Read at the start of a batch, under `dispatch`; swapped before `dispatch` is taken.
    pub(crate) rights: ArcSwap<Acl>,
    /// Held by the read loop for a batch of operations, from permission check to last append.
    pub(crate) dispatch: Mutex<Dispatch>,
    /// Held while rights are asked for and put in place, so that an older answer never replaces a newer one. Taken
    /// before `dispatch`.
    pub(crate) access: Mutex<()>,
    /// Who it is; nobody before its login.
    pub(crate) login: Mutex<Option<Principal>>,
    pub(crate) client: ArcSwap<Client>,
    pub(crate) incoming: Incoming,
    /// Microseconds between the last PING and its PONG; 0 before the first.
    pub(crate) rtt_micros: AtomicU64,
}

/// What the read loop works with. Other tasks take it only to change access.
pub(crate) struct Dispatch {
    pub(crate) subscriptions: HashMap<Box<[u8]>, Arc<Subscription>>,
    /// Nothing is accepted any more.
    pub(crate) closed: bool,
    routes: RouteCache,
    dice: Dice,
    /// What is to be done when the batch is over.
    aftermath: Aftermath,
    /// Whether INFO was sent a second time.
    informed: bool,
}

/// Counters of what a client sent.
#[derive(Default)]
pub(crate) struct Incoming {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Connection {
    /// A connection without rights.
    pub(crate) fn new(
        id: u64,
        remote: SocketAddr,
        door: Arc<Door>,
        nonce: String,
        limits: &crate::Limits,
        rights: Arc<Acl>,
    ) -> Self {
        let outbound = Outbound::new(id, limits.max_pending, limits.max_tracked_replies, Arc::clone(&rights));
        Self {
            id,
            remote,
            since: SystemTime::now(),
            door,
            nonce,
            tls_peer: None,
            tls: false,
            outbound: Arc::new(outbound),
            rights: ArcSwap::new(rights),
            dispatch: Mutex::new(Dispatch {
                subscriptions: HashMap::new(),
                closed: false,
                routes: RouteCache::default(),
                dice: Dice::new(id),
                aftermath: Aftermath::default(),
                informed: false,
            }),
            access: Mutex::new(()),
            login: Mutex::new(None),
            client: ArcSwap::from_pointee(Client::default()),
            incoming: Incoming::default(),
            rtt_micros: AtomicU64::new(0),
        }
    }

    /// Who the connection is; `None` before its login.
    pub(crate) fn principal(&self) -> Option<Principal> {
        self.login.lock().clone()
    }

    /// What the client sent so far.
    pub(crate) fn received(&self) -> Traffic {
        Traffic { messages: self.incoming.messages.load(Relaxed), bytes: self.incoming.bytes.load(Relaxed) }
    }

    /// Time between the last PING and its PONG.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        let micros = self.rtt_micros.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    fn note_pong(&self, sent: Instant) {
        let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.rtt_micros.store(micros.max(1), Relaxed);
    }
}

impl Dispatch {
    /// Ends every subscription and accepts nothing more. Answers what has to be taken out of the index.
    pub(crate) fn close(&mut self) -> Vec<Arc<Subscription>> {
        self.closed = true;
        self.routes.release();
        self.end_subscriptions()
    }

    /// Gives memory back that a quiet connection does not need.
    fn release(&mut self) {
        self.routes.release();
        self.aftermath = Aftermath::default();
    }

    /// Ends every subscription. Answers what has to be taken out of the index.
    fn end_subscriptions(&mut self) -> Vec<Arc<Subscription>> {
        let ended: Vec<_> = std::mem::take(&mut self.subscriptions).into_values().collect();
        if let Some(first) = ended.first() {
            first.outbound().while_quiet(|| ended.iter().for_each(|subscription| subscription.end()));
        }
        ended
    }
}

impl Incoming {
    fn add(&self, traffic: Traffic) {
        self.messages.fetch_add(traffic.messages, Relaxed);
        self.bytes.fetch_add(traffic.bytes, Relaxed);
    }
}
