//! Whether an address or URL stays on this machine. What cannot be read counts as being elsewhere.

use std::net::IpAddr;

use url::Url;

/// Whether everything sent there stays on this machine.
///
/// Only addresses and the name `localhost` are believed; no name is looked up, since what it means can change.
pub fn is_loopback_host(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().is_ok_and(is_loopback)
}

/// Whether an address is one of this machine's own that nobody else can reach. The unspecified address is not: who
/// listens there can be reached from everywhere.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether every URL of a comma-separated list (as for NATS servers) leads to this machine.
pub fn is_loopback_url(urls: &str) -> bool {
    urls.split(',')
        .all(|url| Url::parse(url.trim()).ok().as_ref().and_then(Url::host_str).is_some_and(is_loopback_host))
}

#[cfg(test)]
mod tests;
