//! Where a web page comes from (RFC 6454), as browsers say it in the `Origin` field.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Scheme};

/// Scheme, host and port of a web page, such as `https://app.example` or `http://localhost:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    /// In lower case.
    host: String,
    port: u16,
}

/// Text that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an origin: write http:// or https://, a host, and perhaps :port; nothing more")]
pub struct OriginError;

impl Origin {
    /// Whether a page from here asked a server that it calls `host` (the `Host` field), and that speaks HTTPS itself
    /// if `secure`, so that page and server have one origin.
    ///
    /// A server without TLS may stand behind something that adds it, so there the page's scheme counts.
    pub(crate) fn is_of(&self, host: &str, secure: bool) -> bool {
        let scheme = if secure || self.secure { "https" } else { "http" };
        format!("{scheme}://{host}").parse().is_ok_and(|server: Self| server == *self)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError)?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(OriginError),
        };
        let authority = uri.authority().ok_or(OriginError)?;
        // `Uri` reads a missing path as "/", which an origin does not have.
        if authority.as_str().contains('@')
            || text.len() != uri.scheme_str().map_or(0, str::len) + 3 + authority.as_str().len()
        {
            return Err(OriginError);
        }
        let host = authority.host().to_ascii_lowercase();
        let explicit = authority.as_str()[host.len()..].strip_prefix(':');
        let port = match explicit {
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().map_err(|_| OriginError)?,
        };
        if host.is_empty() {
            return Err(OriginError);
        }
        Ok(Self { secure, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
