//! How this process enters its own server.

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

/// The service identity of one account: what connects to the server with all rights there. Stays good when the server
/// is started again.
#[derive(Clone)]
pub struct ServiceAccess {
    address: SocketAddr,
    seed: Zeroizing<String>,
    tls: Option<ClientConfig>,
}

impl ServiceAccess {
    /// For a server that listens there.
    pub(crate) fn new(listens: SocketAddr, seed: Zeroizing<String>, tls: Option<ClientConfig>) -> Self {
        Self { address: dialled(listens), seed, tls }
    }

    /// Where to connect to.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        format!("{scheme}://{}", self.address)
    }

    /// Options with the login, the one certificate that is accepted, and quick pings. What is said here about TLS must
    /// not be loosened: the connection has all rights.
    pub fn options(&self) -> async_nats::ConnectOptions {
        let options = async_nats::ConnectOptions::with_nkey(self.seed.as_str().to_owned())
            .ping_interval(PING)
            .connection_timeout(PATIENCE)
            .reconnect_delay_callback(|_| RETRY)
            .ignore_discovered_servers();
        match &self.tls {
            Some(tls) => options.require_tls(true).tls_client_config(tls.clone()),
            None => options,
        }
    }
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
        f.debug_struct("ServiceAccess").field("address", &self.address).finish_non_exhaustive()
    }
}
