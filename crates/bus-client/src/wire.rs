//! The NATS connection: who logs in, where to, and what it reports.

mod reports;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{AuthError, ConnectOptions, ServerAddr};
use busauth::Identity;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::config::{BusConfig, ClientTls, Tuning};
use crate::control::is_loopback;
use crate::error::{Error, ErrorKind, Result};
pub(crate) use reports::{Report, Reports};

/// More nodes than a bus has.
const ADDRESSES: usize = 32;

/// A client that was shut down while it had no connection takes no orders any more; it is put to sleep instead.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// A connection that has just been made.
pub(crate) struct Dialed {
    pub(crate) client: async_nats::Client,
    pub(crate) reports: Reports,
    /// Where it goes when it is lost.
    pub(crate) servers: Vec<ServerAddr>,
}

/// What connections to the data plane are made from.
pub(crate) struct Dialer {
    identity: Arc<Identity>,
    demanded: ClientTls,
    servers: RwLock<Vec<ServerAddr>>,
    tls: Option<rustls::ClientConfig>,
    client_name: Option<String>,
    tuning: Tuning,
}

impl Dialer {
    /// Checks what the control plane offered.
    pub(crate) fn new(
        config: &BusConfig,
        urls: &[String],
        tls: Option<rustls::ClientConfig>,
    ) -> Result<Self> {
        Ok(Self {
            identity: config.identity.clone(),
            demanded: config.tls.clone(),
            servers: RwLock::new(servers(urls, &config.tls)?),
            tls,
            client_name: config.client_name.clone(),
            tuning: config.tuning.clone(),
        })
    }

    /// How the bus has to prove who it is.
    pub(crate) fn tls(&self) -> &ClientTls {
        &self.demanded
    }

    /// Where a connection is tried.
    pub(crate) fn servers(&self) -> Vec<ServerAddr> {
        self.servers.read().clone()
    }

    /// Takes what the control plane offers now.
    ///
    /// A node that the others cannot reach names itself alone, so what is not named any more is kept for a while, behind the
    /// rest: until there is too much of it.
    pub(crate) fn learn(&self, urls: &[String]) -> Result<()> {
        let mut now = servers(urls, &self.demanded)?;
        let mut servers = self.servers.write();
        let before = servers.drain(..).filter(|server| !now.contains(server)).collect::<Vec<_>>();
        now.extend(before);
        now.truncate(ADDRESSES);
        *servers = now;
        Ok(())
    }

    /// Opens a connection, which goes on trying until `stop` when it is lost.
    ///
    /// Only the login key ever meets a nonce: async-nats gets a callback, never a seed.
    pub(crate) async fn dial(&self, stop: CancellationToken) -> Result<Dialed> {
        let (reporter, reports) = reports::channel();
        let user = self.identity.id();
        let mut options = ConnectOptions::with_auth_callback(login_callback(self.identity.clone()))
            .custom_inbox_prefix(format!("_INBOX_{user}"))
            .connection_timeout(self.tuning.connect_timeout)
            .subscription_capacity(self.tuning.subscription_capacity)
            .request_timeout(Some(self.tuning.request_timeout))
            // The control plane names the servers; an unauthenticated INFO does not.
            .ignore_discovered_servers()
            .reconnect_delay_callback(
                move |attempt| if stop.is_cancelled() { NEVER } else { reconnect_delay(attempt) },
            )
            .event_callback(move |event| {
                let reporter = reporter.clone();
                async move {
                    if let Some(report) = report(event) {
                        reporter.report(report);
                    }
                }
            });
        if let Some(tls) = self.tls.clone() {
            options = options.require_tls(true).tls_client_config(tls);
        }
        if let Some(name) = &self.client_name {
            options = options.name(name);
        }
        let servers = self.servers();
        let client = options.connect(&servers[..]).await.map_err(connect_error)?;
        Ok(Dialed { client, reports, servers })
    }
}

fn login_callback(
    identity: Arc<Identity>,
) -> impl Fn(Vec<u8>) -> std::future::Ready<std::result::Result<async_nats::Auth, AuthError>> + Send + Sync + 'static
{
    move |nonce| {
        let answer = std::str::from_utf8(&nonce)
            .map_err(AuthError::new)
            .and_then(|nonce| identity.answer_nonce(nonce).map_err(AuthError::new));
        std::future::ready(answer.map(|signature| {
            let mut auth = async_nats::Auth::new();
            auth.nkey = Some(identity.login_key().to_string());
            auth.signature = Some(signature.0.to_vec());
            auth
        }))
    }
}

/// Checks what the control plane offered: reachable in the way the person allowed, never in plaintext beyond loopback.
fn servers(urls: &[String], demanded: &ClientTls) -> Result<Vec<ServerAddr>> {
    let mut servers = Vec::new();
    for text in urls.iter().take(ADDRESSES) {
        let url = url::Url::parse(text).map_err(|source| {
            Error::new(
                ErrorKind::Protocol,
                format!("the bus names {text:?} as data plane, which is not a URL"),
            )
            .with_source(source)
        })?;
        let local = url.host().is_some_and(|host| match host {
            // Schemes that the URL standard does not know leave addresses as names.
            url::Host::Domain(name) => url::Host::parse(name).is_ok_and(|host| is_loopback(&host)),
            other => is_loopback(&other),
        });
        if *demanded == ClientTls::LoopbackPlaintext && !local {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "the data plane {text} is not on this computer, so it needs TLS: configure a CA file or fingerprint"
                ),
            ));
        }
        servers.push(text.parse().map_err(|source| {
            Error::new(ErrorKind::Protocol, format!("the data plane address {text:?} cannot be used"))
                .with_source(source)
        })?);
    }
    if servers.is_empty() {
        return Err(Error::new(ErrorKind::Unavailable, "the bus names no data plane yet; try again later"));
    }
    Ok(servers)
}

fn report(event: async_nats::Event) -> Option<Report> {
    use async_nats::Event;
    match event {
        Event::Connected => Some(Report::Connected),
        Event::Disconnected | Event::Closed => Some(Report::Disconnected),
        Event::SlowConsumer(_) => Some(Report::SlowConsumer),
        Event::ServerError(error) => Some(Report::Refused(error.to_string())),
        Event::ClientError(error) => {
            tracing::debug!(%error, "connection attempt failed");
            None
        }
        Event::LameDuckMode | Event::Draining => None,
    }
}

/// Whether the bus's words about a refusal are about this subscription: it was not taken, or has been closed.
pub(crate) fn ends_subscription(detail: &str, filter: &str, queue: Option<&str>) -> bool {
    let Some((_, rest)) = detail.split_once(&format!("Subscription to \"{filter}\"")) else { return false };
    match queue {
        Some(queue) => rest.starts_with(&format!(" using queue \"{queue}\"")),
        None => !rest.starts_with(" using queue "),
    }
}

/// At once, then slower up to four seconds, with a random part so that clients of a restarted bus spread out.
fn reconnect_delay(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let exponent = u32::try_from(attempt.min(12)).unwrap_or(12);
    let longest = 2_u64.saturating_pow(exponent).min(4000);
    Duration::from_millis(rand::random_range(longest / 2..=longest))
}

fn connect_error(error: async_nats::ConnectError) -> Error {
    use async_nats::ConnectErrorKind as Kind;
    let (kind, text) = match error.kind() {
        Kind::Authentication => {
            (ErrorKind::Protocol, "the data plane asked for a login in a way that a NATS server does not")
        }
        Kind::AuthorizationViolation => {
            (ErrorKind::Unauthenticated, "the data plane does not accept this identity")
        }
        Kind::Tls => (ErrorKind::Config, "the data plane could not prove who it is"),
        Kind::TimedOut => (ErrorKind::Timeout, "the data plane did not answer in time"),
        _ => (ErrorKind::Unreachable, "the data plane cannot be reached"),
    };
    Error::new(kind, text).with_source(error)
}
