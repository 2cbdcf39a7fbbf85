//! What a client needs to know to reach a bus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use busauth::{CaFingerprint, Identity};

use crate::state::StateStore;

/// How to reach a bus, and as whom.
///
/// [`BusConfig::new`] fills in what most callers want; every field may be changed.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// Control-plane address, for example `http://127.0.0.1:8470` or `https://bus.example.org:8470`. Of a bus of several nodes one is
    /// enough: where the others are is asked for, and kept in [`state`](Self::state) for the next time.
    pub control_url: String,
    /// Who is asking.
    pub identity: Arc<Identity>,
    /// Where names, heads and message windows are remembered.
    pub state: StateStore,
    /// How the server proves who it is.
    pub tls: ClientTls,
    /// Name shown in the server's connection list; none by default.
    pub client_name: Option<String>,
    /// Waiting times and bounds.
    pub tuning: Tuning,
}

impl BusConfig {
    /// A client that remembers nothing beyond its own life and speaks plaintext to loopback only.
    pub fn new(control_url: impl Into<String>, identity: impl Into<Arc<Identity>>) -> Self {
        Self {
            control_url: control_url.into(),
            identity: identity.into(),
            state: StateStore::memory(),
            tls: ClientTls::LoopbackPlaintext,
            client_name: None,
            tuning: Tuning::default(),
        }
    }

    /// The same with a state store; long-lived clients want a directory.
    #[must_use]
    pub fn with_state(mut self, state: StateStore) -> Self {
        self.state = state;
        self
    }

    /// The same with another way to trust the server.
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// The same with other waiting times and bounds.
    #[must_use]
    pub fn with_tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }
}

/// How the server proves who it is. It applies to both planes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientTls {
    /// No TLS, and therefore loopback addresses only; anything else is refused.
    LoopbackPlaintext,
    /// Certificates must lead to an authority in this PEM file.
    CaFile(PathBuf),
    /// The same from memory.
    CaPem(Vec<u8>),
    /// Certificates must lead to the authority with this fingerprint, whose certificate the server sends along.
    CaFingerprint(CaFingerprint),
}

/// Waiting times and bounds. The defaults suit people and services; tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Longest wait for one connection attempt.
    pub connect_timeout: Duration,
    /// Longest wait for one answer of the control plane, retries included three times this.
    pub request_timeout: Duration,
    /// Whether this client, as an owner, opens a new epoch when a member left or was revoked.
    pub automatic_rekey: bool,
    /// Owners wait a random time up to this before they do, so that they do not all do it at once.
    pub rekey_delay: Duration,
    /// How often the log of an open room is fetched, and where the nodes of the bus are, even if no event asks for it.
    pub refresh_interval: Duration,
    /// Messages waiting in one subscription before the reader counts as slow.
    pub subscription_capacity: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            automatic_rekey: true,
            rekey_delay: Duration::from_secs(10),
            refresh_interval: Duration::from_mins(1),
            subscription_capacity: 8192,
        }
    }
}
