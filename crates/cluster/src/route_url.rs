//! Where a peer accepts routes, and the login that goes with it.

use std::{fmt, net::IpAddr, str::FromStr};

use url::Url;
use zeroize::Zeroizing;

use crate::{
    loopback::is_loopback_host,
    names::RouteUser,
    route_secret::{RouteLogin, RouteSecret},
};

/// Where nodes accept routes unless the configuration says otherwise.
pub const DEFAULT_ROUTE_PORT: u16 = 6250;

/// A host name's length by RFC 1035.
const MAX_HOST_CHARS: usize = 253;

/// The address of a peer's route listener: `nats://host:port`, also written `nats-route://` or `tls://`.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteUrl {
    host: String,
    port: u16,
    login: Option<RouteLogin>,
}

/// Why a text is not a [`RouteUrl`]. It never quotes the text, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteUrlError {
    /// Not a URL.
    #[error("a route is written nats://HOST:PORT")]
    Syntax,
    /// A scheme that means something else.
    #[error("a route begins with nats://, nats-route:// or tls://")]
    Scheme,
    /// No host, or none that could be dialled.
    #[error("a route names the host or address of one peer")]
    Host,
    /// User info without one of its halves, or with characters that no login has.
    #[error(
        "a route carries user and secret or neither; leave them out, they are added from the route secret"
    )]
    Login,
    /// A path, query or fragment.
    #[error("a route ends after its port")]
    Trailing,
}

impl RouteUrl {
    /// The host or address; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the URL came with a login of its own.
    pub fn carries_login(&self) -> bool {
        self.login.is_some()
    }

    /// Whether the peer is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.host)
    }

    /// The URL with this login, unless it has its own.
    #[must_use]
    pub fn or_login(mut self, login: &RouteLogin) -> Self {
        self.login.get_or_insert_with(|| login.clone());
        self
    }

    /// Its own login, or else this one.
    pub(crate) fn login_or<'a>(&'a self, login: &'a RouteLogin) -> &'a RouteLogin {
        self.login.as_ref().unwrap_or(login)
    }

    /// What nats-server dials, secret included.
    pub fn render(&self) -> Zeroizing<String> {
        let address = Address(self);
        Zeroizing::new(match &self.login {
            Some(login) => format!("nats-route://{}:{}@{address}", login.user, login.secret.expose()),
            None => format!("nats-route://{address}"),
        })
    }
}

/// Host and port as they stand in a URL.
struct Address<'a>(&'a RouteUrl);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RouteUrl { host, port, .. } = self.0;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for RouteUrl {
    type Err = RouteUrlError;

    fn from_str(text: &str) -> Result<Self, RouteUrlError> {
        let url = Url::parse(text).map_err(|_| RouteUrlError::Syntax)?;
        if !matches!(url.scheme(), "nats" | "nats-route" | "tls") {
            return Err(RouteUrlError::Scheme);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(RouteUrlError::Trailing);
        }
        let host = host(url.host_str().ok_or(RouteUrlError::Host)?)?;
        let port = url.port().unwrap_or(DEFAULT_ROUTE_PORT);
        if port == 0 {
            return Err(RouteUrlError::Syntax);
        }
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(secret)) => Some(RouteLogin {
                user: user.parse::<RouteUser>().map_err(|_| RouteUrlError::Login)?,
                secret: secret.parse::<RouteSecret>().map_err(|_| RouteUrlError::Login)?,
            }),
            (_, None) => return Err(RouteUrlError::Login),
        };
        Ok(Self { host, port, login })
    }
}

fn host(text: &str) -> Result<String, RouteUrlError> {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: IpAddr = address.parse().map_err(|_| RouteUrlError::Host)?;
        return Ok(address.to_string());
    }
    if is_host_name(text) { Ok(text.to_ascii_lowercase()) } else { Err(RouteUrlError::Host) }
}

/// Letters, digits and hyphens in labels; an IPv4 address is of that form, too.
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= MAX_HOST_CHARS && text.split('.').all(label)
}

/// Without the login.
impl fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nats-route://{}", Address(self))
    }
}

impl fmt::Debug for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteUrl({self})")
    }
}

#[cfg(test)]
mod tests;
