//! Who is connected.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use busauth::Principal;
use parking_lot::Mutex;

use crate::session::{Connection, Traffic};

/// All connections of a broker, by number and by who they are.
pub(crate) struct Registry {
    next_id: AtomicU64,
    connections: Mutex<Connections>,
    access_epoch: AtomicU64,
    slow_consumers: AtomicU64,
    login_failures: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Connections {
    all: HashMap<u64, Arc<Connection>>,
    by_principal: HashMap<Principal, Vec<Arc<Connection>>>,
    /// Traffic of connections that have ended.
    received: Traffic,
    sent: Traffic,
}

/// Counters of the registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) connections: usize,
    pub(crate) total_connections: u64,
    pub(crate) refused_connections: u64,
    pub(crate) slow_consumers: u64,
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            next_id: AtomicU64::new(1),
            connections: Mutex::default(),
            access_epoch: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
            login_failures: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The next connection number.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    pub(crate) fn add(&self, connection: &Arc<Connection>) {
        self.connections.lock().all.insert(connection.id, Arc::clone(connection));
    }

    /// Files a connection under who it is. It stays findable under that until it is removed or logs in anew.
    pub(crate) fn log_in(&self, connection: &Arc<Connection>, principal: &Principal) {
        let mut connections = self.connections.lock();
        let before = connection.login.lock().replace(principal.clone());
        if let Some(before) = before {
            connections.log_out(connection.id, &before);
        }
        connections.by_principal.entry(principal.clone()).or_default().push(Arc::clone(connection));
    }

    pub(crate) fn remove(&self, connection: &Connection) {
        let mut connections = self.connections.lock();
        if connections.all.remove(&connection.id).is_none() {
            return;
        }
        if let Some(principal) = connection.principal() {
            connections.log_out(connection.id, &principal);
        }
        connections.received += connection.received();
        connections.sent += connection.outbound.traffic();
    }

    /// Connections of one principal.
    pub(crate) fn of(&self, principal: &Principal) -> Vec<Arc<Connection>> {
        self.connections.lock().by_principal.get(principal).cloned().unwrap_or_default()
    }

    /// All connections.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.connections.lock().all.values().cloned().collect()
    }

    /// Counts the changes of access. A login that saw one number before it asked for rights, and sees the same after
    /// it was filed, has rights that no change made old.
    pub(crate) fn access_epoch(&self) -> u64 {
        self.access_epoch.load(SeqCst)
    }

    /// To be called before the connections of a changed principal are looked up.
    pub(crate) fn begin_access_change(&self) {
        self.access_epoch.fetch_add(1, SeqCst);
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_slow_consumer(&self) {
        self.slow_consumers.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_login_failure(&self) {
        self.login_failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn login_failures(&self) -> u64 {
        self.login_failures.load(Relaxed)
    }

    pub(crate) fn counts(&self) -> Counts {
        let (live, mut received, mut sent) = {
            let connections = self.connections.lock();
            let live: Vec<_> = connections.all.values().cloned().collect();
            (live, connections.received, connections.sent)
        };
        for connection in &live {
            received += connection.received();
            sent += connection.outbound.traffic();
        }
        Counts {
            connections: live.len(),
            total_connections: self.next_id.load(Relaxed) - 1,
            refused_connections: self.refused.load(Relaxed),
            slow_consumers: self.slow_consumers.load(Relaxed),
            received,
            sent,
        }
    }
}

impl Connections {
    fn log_out(&mut self, id: u64, principal: &Principal) {
        if let Some(connections) = self.by_principal.get_mut(principal) {
            connections.retain(|connection| connection.id != id);
            if connections.is_empty() {
                self.by_principal.remove(principal);
            }
        }
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}
