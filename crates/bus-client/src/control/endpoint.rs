//! The address of one node's control plane.

use std::net::IpAddr;

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// Scheme, host and port of a control plane; nothing else may be in the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    origin: String,
    authority: String,
    scheme: Scheme,
    loopback: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::new(
                ErrorKind::Config,
                format!("the control URL {text:?} {why}; it should look like http://127.0.0.1:8470"),
            ))
        };
        let Ok(url) = Url::parse(text) else { return refuse("is not a URL") };
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return refuse("is neither http nor https"),
        };
        let Some(host) = url.host() else { return refuse("names no host") };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("must not hold a user or password");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return refuse("must be scheme, host and port only");
        }
        let loopback = is_loopback(&host);
        // `Url` leaves out the scheme's default port, which is how "@authority" wants it too.
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let origin = format!("{}://{authority}", url.scheme());
        Ok(Self { origin, authority, scheme, loopback })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)
    }
}

/// Whether traffic to this host stays on this computer. A name counts only when it is `localhost`.
pub(crate) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
    }
}

#[cfg(test)]
mod tests;
