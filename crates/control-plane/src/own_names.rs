//! The names a request may be addressed to.
//!
//! A request that names another host was meant for another bus, or comes from a web page whose host name was
//! pointed at this address (DNS rebinding). Neither is served.

use std::collections::HashSet;

/// Names that always mean this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The hosts, with or without a port, that this server answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNames(HashSet<String>);

impl OwnNames {
    /// These names and the loopback names. `host` stands for every port, `host:port` for one; an IPv6 address
    /// stands in brackets.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(|name| name.into().to_ascii_lowercase());
        Self(names.chain(LOOPBACK.map(str::to_owned)).collect())
    }

    /// Whether a request's authority (`Host` or `:authority`) is one of these names.
    pub fn contains(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.0.contains(&authority) || self.0.contains(host_of(&authority))
    }
}

/// The authority without its port.
fn host_of(authority: &str) -> &str {
    let port = authority.rsplit_once(':').filter(|(host, port)| {
        // The colons inside of `[::1]` belong to the address.
        port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.starts_with('[') || host.ends_with(']'))
    });
    port.map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_any_port_or_for_one() {
        let names = OwnNames::new(["Bus.example", "other.example:8470", "[2001:db8::1]"]);
        for own in [
            "bus.example",
            "BUS.example:1",
            "other.example:8470",
            "localhost:9",
            "127.0.0.1",
            "[::1]:8470",
            "[2001:db8::1]",
            "[2001:db8::1]:8470",
        ] {
            assert!(names.contains(own), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "other.example",
            "other.example:8471",
            "bus.example.evil:1",
            "[::2]",
            "::1",
            "x:y:localhost",
        ] {
            assert!(!names.contains(foreign), "{foreign}");
        }
    }
}
