//! The names and addresses of this bus: what requests may be addressed to, what the certificate holds and
//! which URLs clients are told.

use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrLike;

use crate::config::{Config, DataUrl, PublicName};

/// The names and addresses of this bus.
#[derive(Debug, Clone)]
pub(crate) struct OwnNames {
    public: Vec<PublicName>,
    addresses: Vec<IpAddr>,
    host: Option<String>,
    data_urls: Vec<DataUrl>,
    tls: bool,
}

impl OwnNames {
    /// Of a node that listens as `config` says. An unspecified address stands for every interface.
    pub(crate) fn of(config: &Config) -> Self {
        let bind = config.exposure.address();
        let addresses = if bind.is_unspecified() { interface_addresses(bind) } else { vec![bind] };
        Self {
            public: config.public_names.clone(),
            addresses,
            host: config.exposure.is_public().then(host_name).flatten(),
            data_urls: config.data_urls.clone(),
            tls: config.exposure.tls().is_some(),
        }
    }

    /// Hosts, and hosts with a port, that requests may be addressed to.
    pub(crate) fn authorities(&self) -> Vec<String> {
        let public = self.public.iter().map(ToString::to_string);
        let addresses = self.addresses.iter().map(|address| host_of(*address));
        public.chain(addresses).chain(self.host.clone()).collect()
    }

    /// What others may know this machine by, as it stands in a certificate.
    pub(crate) fn known_by(&self) -> Vec<String> {
        let public = self.public.iter().map(|name| name.host().trim_matches(['[', ']']).to_owned());
        let addresses = self.addresses.iter().map(ToString::to_string);
        public.chain(addresses).chain(self.host.clone()).collect()
    }

    /// Subject alternative names of the server certificate.
    pub(crate) fn certificate_names(&self) -> Vec<String> {
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut names: Vec<String> = self.known_by().into_iter().chain(loopback).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where clients find the data plane.
    pub(crate) fn data_urls(&self, listening: SocketAddr) -> Vec<String> {
        if !self.data_urls.is_empty() {
            return self.data_urls.iter().map(ToString::to_string).collect();
        }
        let scheme = if self.tls { "tls" } else { "nats" };
        self.hosts().map(|host| format!("{scheme}://{host}:{}", listening.port())).collect()
    }

    /// Where clients find the control plane.
    pub(crate) fn control_urls(&self, listening: SocketAddr) -> Vec<String> {
        let scheme = if self.tls { "https" } else { "http" };
        if self.public.is_empty() {
            return self.hosts().map(|host| format!("{scheme}://{host}:{}", listening.port())).collect();
        }
        let with_port = |name: &PublicName| {
            format!("{scheme}://{}:{}", name.host(), name.port().unwrap_or(listening.port()))
        };
        self.public.iter().map(with_port).collect()
    }

    /// Public names when there are any, addresses otherwise: a name is what its owner wants to be used.
    fn hosts(&self) -> Box<dyn Iterator<Item = String> + '_> {
        if self.public.is_empty() {
            Box::new(self.addresses.iter().map(|address| host_of(*address)))
        } else {
            Box::new(self.public.iter().map(|name| name.host().to_owned()))
        }
    }
}

fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The addresses of this machine that others can use, of the family that `unspecified` covers.
fn interface_addresses(unspecified: IpAddr) -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| interface.address)
        .filter_map(|address| match address.family()? {
            nix::sys::socket::AddressFamily::Inet => Some(IpAddr::V4(address.as_sockaddr_in()?.ip())),
            nix::sys::socket::AddressFamily::Inet6 => Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())),
            _ => None,
        })
        .filter(|address| match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => {
                unspecified.is_ipv6() && !address.is_loopback() && !address.is_unicast_link_local()
            }
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty() && name != "localhost" && name.parse::<PublicName>().is_ok()).then_some(name)
}
