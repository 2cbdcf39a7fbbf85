//! What can be seen of a running broker: as plain values, and over HTTP for tools that know nats-server.

mod http;
mod jsz;
mod report;

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use busauth::Principal;

use crate::session::Connection;

pub(crate) use http::serve;
pub(crate) use report::Monitor;

/// One client connection at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Number of the connection; never used again by this broker.
    pub id: u64,
    /// Who it is; `None` before its login, and always without authentication.
    pub principal: Option<Principal>,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// Whether it came through the listener for the host process.
    pub internal: bool,
    /// Whether it is in WebSocket frames.
    pub websocket: bool,
    /// Whether it is encrypted.
    pub tls: bool,
    /// What the client calls itself, at most 256 bytes of it.
    pub name: Option<String>,
    /// Language of the client, as it says.
    pub lang: Option<String>,
    /// Version of the client library, as it says.
    pub version: Option<String>,
    /// When it was accepted.
    pub since: SystemTime,
    /// Round trip of the last PING.
    pub rtt: Option<Duration>,
    /// Number of its subscriptions.
    pub subscriptions: usize,
    /// Bytes that wait to be written to it.
    pub pending_bytes: usize,
    /// Messages it published.
    pub received_messages: u64,
    /// Bytes of these, headers included.
    pub received_bytes: u64,
    /// Messages appended for it.
    pub sent_messages: u64,
    /// Bytes of these, headers included.
    pub sent_bytes: u64,
}

/// Counters of a broker since it was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Connections now.
    pub connections: usize,
    /// Connections accepted so far.
    pub total_connections: u64,
    /// Connections refused because there were too many.
    pub refused_connections: u64,
    /// Logins refused.
    pub login_failures: u64,
    /// Connections dropped because they were too slow.
    pub slow_consumers: u64,
    /// Subscriptions now.
    pub subscriptions: usize,
    /// Messages published by clients.
    pub received_messages: u64,
    /// Bytes of these, headers included.
    pub received_bytes: u64,
    /// Messages appended for subscribers.
    pub sent_messages: u64,
    /// Bytes of these, headers included.
    pub sent_bytes: u64,
    /// Counters of JetStream, where it is on.
    pub jetstream: Option<JetStreamStats>,
}

/// Counters of JetStream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JetStreamStats {
    /// Streams now.
    pub streams: usize,
    /// Consumers now.
    pub consumers: usize,
    /// Messages in all streams.
    pub messages: u64,
    /// Bytes of these, as JetStream counts them.
    pub bytes: u64,
    /// Requests to its API so far.
    pub requests: u64,
    /// Those that were answered with an error.
    pub errors: u64,
}

impl ConnectionInfo {
    pub(crate) fn of(connection: &Connection) -> Self {
        let client = connection.client.load();
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let (received, sent) = (connection.received(), connection.outbound.traffic());
        Self {
            id: connection.id,
            principal: connection.principal(),
            remote: connection.remote,
            internal: connection.door.internal,
            websocket: connection.door.is_websocket(),
            tls: connection.tls,
            name: text(&client.name),
            lang: text(&client.lang),
            version: text(&client.version),
            since: connection.since,
            rtt: connection.rtt(),
            subscriptions: connection.dispatch.lock().subscriptions.len(),
            pending_bytes: connection.outbound.pending(),
            received_messages: received.messages,
            received_bytes: received.bytes,
            sent_messages: sent.messages,
            sent_bytes: sent.bytes,
        }
    }
}
