//! What a membershipd at an external NATS is configured with.

use std::{fmt, path::PathBuf, str::FromStr};

use url::Url;

use super::{keys::ExternalKeys, violation::ExternalViolation};
use crate::is_loopback_host;

/// More than any cluster has; beyond it is most likely another text.
const MAX_URLS: usize = 32;
/// What a URL without a port means.
const DEFAULT_PORT: u16 = 4222;

/// Where an external NATS is: one URL or more, separated by commas.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrls(Vec<Url>);

/// The text names no NATS servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NatsUrlsError {
    /// None, or very many.
    #[error("name 1 to {MAX_URLS} servers, separated by commas")]
    Number,
    /// Not a URL of a NATS server. What was written is not shown: it may hold a password.
    #[error("URL number {0} is not of the form nats://host:port or tls://host:port")]
    Form(usize),
}

/// How to reach an external NATS, and with which keys.
#[derive(Debug, Clone)]
pub struct ExternalConfig {
    /// Its servers.
    pub urls: NatsUrls,
    /// The certificate authority (PEM) of its servers. No other is believed.
    pub ca: Option<PathBuf>,
    /// The keys that its operator has configured. Without them others decide about logins there.
    pub keys: Option<ExternalKeys>,
}

impl ExternalConfig {
    /// Everything that is wrong with it before anything is connected to.
    pub fn violations(&self) -> Vec<ExternalViolation> {
        let mut violations = Vec::new();
        if self.ca.is_none() {
            for url in &self.urls.0 {
                if !url.host_str().is_some_and(is_loopback_host) {
                    violations.push(ExternalViolation::RemoteWithoutAuthority(shown(url)));
                } else if url.scheme() == "tls" {
                    violations.push(ExternalViolation::TlsWithoutAuthority(shown(url)));
                }
            }
        }
        let with_login = |url: &&Url| !url.username().is_empty() || url.password().is_some();
        let with_login = self.urls.0.iter().filter(with_login);
        violations.extend(with_login.map(|url| ExternalViolation::LoginInUrl(shown(url))));
        if self.keys.is_none() {
            violations.push(ExternalViolation::WithoutCallout);
        }
        violations
    }
}

impl NatsUrls {
    /// As text for a client; TLS is used either way when an authority is pinned.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(shown).collect()
    }

    /// Whether one of the servers is on another machine, so that others may be able to read what is sent there.
    pub fn is_remote(&self) -> bool {
        self.0.iter().any(|url| !url.host_str().is_some_and(is_loopback_host))
    }
}

/// Scheme, host and port; nothing that could be a secret.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}:{}", url.scheme(), url.port().unwrap_or(DEFAULT_PORT))
}

impl FromStr for NatsUrls {
    type Err = NatsUrlsError;

    fn from_str(text: &str) -> Result<Self, NatsUrlsError> {
        let mut urls = Vec::new();
        for (index, text) in text.split(',').enumerate() {
            if index == MAX_URLS {
                return Err(NatsUrlsError::Number);
            }
            let malformed = || NatsUrlsError::Form(index + 1);
            let url = Url::parse(text.trim()).map_err(|_| malformed())?;
            let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
            let has_host = url.host_str().is_some_and(|host| !host.is_empty());
            if !matches!(url.scheme(), "nats" | "tls") || !has_host || !plain {
                return Err(malformed());
            }
            urls.push(url);
        }
        Ok(Self(urls))
    }
}

impl fmt::Display for NatsUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(","))
    }
}

impl fmt::Debug for NatsUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsUrls({self})")
    }
}

#[cfg(test)]
mod tests;
