//! Names by which clients know the bus.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// A host name or address, with or without a port, under which clients reach the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicName(Authority);

/// An address of the data plane as clients dial it: `nats://host:port` or `tls://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataUrl(String);

/// What the server calls itself: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

impl PublicName {
    /// The host, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// The port, where one is part of the name.
    pub fn port(&self) -> Option<u16> {
        self.0.port_u16()
    }
}

impl FromStr for PublicName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("\"{text}\" is not a host or host:port");
        let authority: Authority = text.parse().map_err(|_| refused())?;
        let port_is_fine = authority.port_u16().is_some() || !has_port_separator(authority.as_str());
        if authority.as_str().contains('@') || authority.host().is_empty() || !port_is_fine {
            return Err(refused());
        }
        Ok(Self(authority))
    }
}

fn has_port_separator(authority: &str) -> bool {
    authority.rsplit(']').next().is_some_and(|tail| tail.contains(':'))
}

impl fmt::Display for PublicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DataUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "this is not an address of the form nats://host:port or tls://host:port".to_owned();
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let authority = uri.authority().ok_or_else(refused)?;
        if authority.as_str().contains('@') {
            return Err("it holds a user name or password, and clients would be told it".to_owned());
        }
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !bare || authority.port_u16().is_none() || !matches!(uri.scheme_str(), Some("nats" | "tls")) {
            return Err(refused());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for DataUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for ServerName {
    fn default() -> Self {
        Self("unibus".to_owned())
    }
}

impl FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("\"{text}\" is not a name of 1 to 64 visible ASCII characters"))
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
