//! How this process enters a server: its own, or one of an external NATS.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use rustls::ClientConfig;
use zeroize::Zeroizing;

/// A dead server is noticed after two of these. The default of the client takes minutes.
const PING: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);
/// A server that restarts is back within a second.
const RETRY: Duration = Duration::from_millis(250);
/// Attempts until the pauses double.
const PATIENT_AFTER: usize = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The service identity of one account: what connects to the server with all rights there. Stays good when the server
/// is started again.
#[derive(Clone)]
pub struct ServiceAccess {
    /// At least one.
    urls: Vec<String>,
    seed: Zeroizing<String>,
    tls: Option<ClientConfig>,
}

impl ServiceAccess {
    /// For a server that listens there.
    pub(crate) fn new(listens: SocketAddr, seed: Zeroizing<String>, tls: Option<ClientConfig>) -> Self {
        let scheme = if tls.is_some() { "tls" } else { "nats" };
        Self { urls: vec![format!("{scheme}://{}", dialled(listens))], seed, tls }
    }

    /// For any of these servers.
    pub(crate) fn of_cluster(urls: Vec<String>, seed: Zeroizing<String>, tls: Option<ClientConfig>) -> Self {
        Self { urls, seed, tls }
    }

    /// Where to connect to; the first of several servers.
    pub fn url(&self) -> String {
        self.urls.first().cloned().unwrap_or_default()
    }

    /// Every server there is to connect to; any of them is as good. Made for [`async_nats::ConnectOptions::connect`].
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Options with the login, the one certificate that is accepted, and quick pings. What is said here about TLS must
    /// not be loosened: the connection has all rights.
    pub fn options(&self) -> async_nats::ConnectOptions {
        let options = async_nats::ConnectOptions::with_nkey(self.seed.as_str().to_owned())
            .ping_interval(PING)
            .connection_timeout(PATIENCE)
            .reconnect_delay_callback(pause)
            .ignore_discovered_servers();
        match &self.tls {
            Some(tls) => options.require_tls(true).tls_client_config(tls.clone()),
            None => options,
        }
    }
}

/// At first as a server that restarts is back; one that is gone is not asked for all the time.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt / PATIENT_AFTER).unwrap_or(u32::MAX);
    RETRY.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE)
}

/// Where one dials who listens there.
pub(crate) fn dialled(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

impl fmt::Debug for ServiceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccess").field("urls", &self.urls).finish_non_exhaustive()
    }
}
