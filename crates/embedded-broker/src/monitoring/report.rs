//! The pages of the monitoring port, in nats-server's words.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ConnectionInfo,
    jsz::{self, Jsz},
};
use crate::{broker::Shared, listener::Door};

/// Connections on a page unless asked for otherwise, as on nats-server.
const PAGE: usize = 1024;

/// What the pages are made from.
pub(crate) struct Monitor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clients: Arc<Door>,
    pub(crate) websocket: Option<Arc<Door>>,
    /// Set once clients may come in.
    pub(crate) open: CancellationToken,
    pub(crate) port: u16,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    Varz,
    Connz(Slice),
    Subsz,
    Jsz(Jsz),
    Healthz(Health),
}

/// What has to be well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// JetStream has to be there.
    jetstream_enabled: bool,
}

/// Part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    offset: usize,
    limit: usize,
    /// Whether to say who each connection is.
    auth: bool,
}

/// A parameter that cannot be followed. Answering as if it were not there would be a wrong answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter not supported here, or with another value: {0}")]
pub(super) struct PageError(String);

impl Page {
    /// `None` for a path that is no page.
    pub(super) fn parse(path: &str, query: &str) -> Result<Option<Self>, PageError> {
        let mut slice = Slice { offset: 0, limit: PAGE, auth: false };
        let (mut jsz, mut health) = (Jsz::default(), Health::default());
        let (connz, healthz) = (path == "/connz", path == "/healthz");
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let error = || PageError(parameter.chars().filter(|char| !char.is_control()).take(64).collect());
            let (name, value) = parameter.split_once('=').ok_or_else(error)?;
            match name {
                "limit" if connz => slice.limit = value.parse().map_err(|_| error())?,
                "offset" if connz => slice.offset = value.parse().map_err(|_| error())?,
                "auth" if connz => slice.auth = matches!(value, "1" | "true"),
                "js-enabled-only" if healthz => health.jetstream_enabled = matches!(value, "1" | "true"),
                // The store is looked at, whether or not single streams are asked for.
                "js-server-only" if healthz => {}
                name if path == "/jsz" => jsz.set(name, value, error)?,
                _ => return Err(error()),
            }
        }
        Ok(Some(match path {
            "/varz" => Self::Varz,
            "/connz" => Self::Connz(slice),
            "/subsz" | "/subscriptionsz" => Self::Subsz,
            "/jsz" => Self::Jsz(jsz),
            "/healthz" => Self::Healthz(health),
            _ => return Ok(None),
        }))
    }
}

impl Monitor {
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    /// Makes a page: its status and its JSON. Some of them read the disk.
    pub(super) fn report(&self, page: &Page) -> (StatusCode, Vec<u8>) {
        match page {
            Page::Varz => (StatusCode::OK, json(&self.varz())),
            Page::Connz(slice) => (StatusCode::OK, json(&self.connz(*slice))),
            Page::Subsz => (StatusCode::OK, json(&self.subsz())),
            Page::Jsz(asked) => (StatusCode::OK, json(&self.jsz(asked))),
            Page::Healthz(health) => self.healthz(*health),
        }
    }

    fn varz(&self) -> Varz<'_> {
        let (shared, limits) = (&self.shared, &self.shared.limits);
        let (stats, now) = (shared.stats(), SystemTime::now());
        Varz {
            server_id: shared.server_id(),
            server_name: shared.server_name(),
            version: crate::broker::COMPATIBLE_VERSION,
            proto: 1,
            go: "rust",
            host: self.clients.address.ip().to_string(),
            port: self.clients.address.port(),
            auth_required: self.clients.login_required(),
            tls_required: self.clients.is_encrypted(),
            max_connections: limits.max_connections,
            max_subscriptions: limits.max_subscriptions,
            ping_interval: limits.ping_interval.as_nanos(),
            ping_max: limits.ping_max,
            http_host: "127.0.0.1",
            http_port: self.port,
            auth_timeout: limits.auth_timeout.as_secs_f64(),
            max_control_line: limits.max_control_line,
            max_payload: limits.max_payload,
            max_pending: limits.max_pending,
            websocket: self.websocket.as_deref().map(|door| WebSocketVarz {
                host: door.address.ip().to_string(),
                port: door.address.port(),
                no_tls: !door.is_encrypted(),
            }),
            jetstream: shared.jetstream.as_deref().map(|engine| JetStreamVarz {
                config: jsz::Config::of(engine),
                stats: jsz::Held::of(engine),
            }),
            tls_timeout: limits.tls_timeout.as_secs_f64(),
            write_deadline: limits.write_deadline.as_nanos(),
            start: time(shared.started),
            now: time(now),
            uptime: uptime(shared.started, now),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            connections: stats.connections,
            total_connections: stats.total_connections,
            in_msgs: stats.received_messages,
            in_bytes: stats.received_bytes,
            out_msgs: stats.sent_messages,
            out_bytes: stats.sent_bytes,
            slow_consumers: stats.slow_consumers,
            subscriptions: stats.subscriptions,
        }
    }

    fn connz(&self, Slice { offset, limit, auth }: Slice) -> Connz<'_> {
        let (connections, now) = (self.shared.connections(), SystemTime::now());
        let page = connections.iter().skip(offset).take(limit);
        let page: Vec<_> = page.map(|connection| Connection::of(connection, auth, now)).collect();
        Connz {
            server_id: self.shared.server_id(),
            now: time(now),
            num_connections: page.len(),
            total: connections.len(),
            offset,
            limit,
            connections: page,
        }
    }

    fn subsz(&self) -> Subsz<'_> {
        let num_subscriptions = self.shared.stats().subscriptions;
        Subsz { server_id: self.shared.server_id(), now: time(SystemTime::now()), num_subscriptions }
    }

    fn healthz(&self, asked: Health) -> (StatusCode, Vec<u8>) {
        let error = if self.shared.is_lame_duck() {
            Some("the server is about to stop".to_owned())
        } else if self.open.is_cancelled() {
            match &self.shared.jetstream {
                Some(jetstream) => jetstream.problem(),
                None => asked.jetstream_enabled.then(|| "JetStream is not enabled".to_owned()),
            }
        } else {
            Some("the server does not accept clients yet".to_owned())
        };
        match error {
            None => (StatusCode::OK, json(&Healthz { status: "ok", error: None })),
            error => (StatusCode::SERVICE_UNAVAILABLE, json(&Healthz { status: "unavailable", error })),
        }
    }
}

#[derive(Serialize)]
struct Varz<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'static str,
    proto: u8,
    go: &'static str,
    host: String,
    port: u16,
    auth_required: bool,
    tls_required: bool,
    max_connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_subscriptions: Option<usize>,
    /// Nanoseconds.
    ping_interval: u128,
    ping_max: u32,
    http_host: &'static str,
    http_port: u16,
    /// Seconds.
    auth_timeout: f64,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket: Option<WebSocketVarz>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<JetStreamVarz>,
    /// Seconds.
    tls_timeout: f64,
    /// Nanoseconds.
    write_deadline: u128,
    start: String,
    now: String,
    uptime: String,
    cores: usize,
    connections: usize,
    total_connections: u64,
    in_msgs: u64,
    in_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    slow_consumers: u64,
    subscriptions: usize,
}

#[derive(Serialize)]
struct WebSocketVarz {
    host: String,
    port: u16,
    no_tls: bool,
}

#[derive(Serialize)]
struct JetStreamVarz {
    config: jsz::Config,
    stats: jsz::Held,
}

#[derive(Serialize)]
struct Connz<'a> {
    server_id: &'a str,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Vec<Connection>,
}

#[derive(Serialize)]
struct Connection {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    transport: &'static str,
    ip: String,
    port: u16,
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    pending_bytes: usize,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<String>,
}

#[derive(Serialize)]
struct Subsz<'a> {
    server_id: &'a str,
    now: String,
    num_subscriptions: usize,
}

#[derive(Serialize)]
struct Healthz {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Connection {
    fn of(connection: &ConnectionInfo, auth: bool, now: SystemTime) -> Self {
        let principal = connection.principal.as_ref().filter(|_| auth);
        Self {
            cid: connection.id,
            kind: "Client",
            transport: if connection.websocket { "websocket" } else { "nats" },
            ip: connection.remote.ip().to_string(),
            port: connection.remote.port(),
            start: time(connection.since),
            rtt: connection.rtt.map(round_trip),
            uptime: uptime(connection.since, now),
            pending_bytes: connection.pending_bytes,
            in_msgs: connection.received_messages,
            out_msgs: connection.sent_messages,
            in_bytes: connection.received_bytes,
            out_bytes: connection.sent_bytes,
            subscriptions: connection.subscriptions,
            name: connection.name.clone(),
            lang: connection.lang.clone(),
            version: connection.version.clone(),
            authorized_user: principal.map(|principal| principal.as_str().to_owned()),
        }
    }
}

fn json(page: &impl Serialize) -> Vec<u8> {
    // Writing strings, numbers and flags into memory cannot fail.
    serde_json::to_vec_pretty(page).unwrap_or_default()
}

/// RFC 3339 in UTC.
pub(super) fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// As nats-server writes it: `5s`, `4m5s`, `3h4m5s`, `2d3h4m5s`, and with years.
fn uptime(since: SystemTime, now: SystemTime) -> String {
    const UNITS: [(u64, char); 5] = [(365 * 86_400, 'y'), (86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let mut left = now.duration_since(since).unwrap_or_default().as_secs();
    let mut parts = Vec::new();
    for (seconds, unit) in UNITS {
        if left >= seconds || !parts.is_empty() || unit == 's' {
            parts.push(format!("{}{unit}", left / seconds));
        }
        left %= seconds;
    }
    parts.concat()
}

/// As Go writes durations: `514µs`, `1.234ms`, `2.5s`.
fn round_trip(rtt: Duration) -> String {
    let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    // Rust writes them for debugging as Go does.
    format!("{:?}", Duration::from_micros(micros))
}

#[cfg(test)]
mod tests;
