//! What a broker is told when it is built. Plain data: collaborators are values in it, not behaviour.

mod origin;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use busauth::{Authenticator, LoginKey};

pub use origin::{Origin, OriginError};

use crate::JetStream;

/// Everything [`Broker::bind`](crate::Broker::bind) needs.
///
/// [`BrokerConfig::default`] listens on a free port of 127.0.0.1, without TLS and without a login: right for a
/// test. Anything that others can reach names its [`Authentication`].
#[derive(Clone)]
pub struct BrokerConfig {
    /// Address of the client listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS of the client listener.
    pub tls: TlsMode,
    /// The extra listener for clients in browsers.
    pub websocket: WebSocket,
    /// Who may connect to these two.
    pub authentication: Authentication,
    /// The extra listener for the process that hosts the broker.
    pub internal: Internal,
    /// The port for monitoring tools.
    pub monitoring: Monitoring,
    /// Streams.
    pub jetstream: JetStream,
    /// When clients are let in.
    pub admission: Admission,
    /// What happens to requests whose reply subject the client has no right to.
    pub reply_policy: ReplyPolicy,
    /// Name shown in INFO; the server id when absent.
    pub server_name: Option<String>,
    /// `host:port` under which clients reach this broker from elsewhere, for INFO's `connect_urls`.
    pub advertise: Vec<String>,
    /// Bounds in size, count and time.
    pub limits: Limits,
}

/// TLS of the client listener.
#[derive(Clone)]
pub enum TlsMode {
    /// Plain TCP.
    Off,
    /// The server sends INFO in clear, then the client starts TLS: what every NATS client does by default.
    AfterInfo(Arc<rustls::ServerConfig>),
    /// TLS starts with the first byte; INFO is sent inside. Clients call it `tls_first` or handshake first.
    First(Arc<rustls::ServerConfig>),
}

/// The listener for clients in browsers: the same protocol inside WebSocket frames.
#[derive(Clone)]
pub enum WebSocket {
    /// No such listener.
    Off,
    /// Clients open a WebSocket at any path of this address.
    Listen {
        /// Where; port 0 takes a free one.
        address: SocketAddr,
        /// `ws://` or `wss://`.
        tls: WebSocketTls,
        /// Which web pages may connect.
        origins: OriginPolicy,
    },
}

/// TLS of the WebSocket listener.
#[derive(Clone)]
pub enum WebSocketTls {
    /// Plain HTTP. Web pages that were loaded over HTTPS cannot connect.
    Off,
    /// HTTPS.
    On(Arc<rustls::ServerConfig>),
}

/// Which web pages may connect. Browsers say which page asks; other programs say nothing and are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Pages from the host and port that the client itself connects to, as it names them.
    SameOrigin,
    /// Pages from these places.
    AnyOf(Vec<Origin>),
    /// All pages. Whoever visits a hostile page lends it their way to this listener; the login is all that is left.
    Any,
}

/// Who may connect.
#[derive(Clone)]
pub enum Authentication {
    /// Everybody, with all rights.
    Open,
    /// Whoever this authenticator knows, with the rights it gives.
    By(Arc<dyn Authenticator>),
}

/// The listener for the host process itself: plain TCP on a free port of 127.0.0.1, never advertised.
///
/// NATS clients speak sockets, so a host that uses the bus it serves needs one too. It accepts only the one key,
/// which is meant to be made at start and kept in memory.
#[derive(Clone)]
pub enum Internal {
    /// No such listener.
    None,
    /// Accepts only this nkey and lets it do everything.
    Listener {
        /// Public key of the host process.
        nkey: LoginKey,
    },
}

/// The port for monitoring tools: HTTP in nats-server's format, without TLS and without a login, and so for this
/// machine only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitoring {
    /// No such port.
    Off,
    /// On 127.0.0.1.
    Loopback {
        /// The port; 0 takes a free one.
        port: u16,
    },
}

/// When clients are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// As soon as `bind` has returned.
    AtOnce,
    /// After [`Broker::open`](crate::Broker::open): the port is bound, but nothing is accepted from it. The
    /// internal listener accepts at once.
    WhenOpened,
}

/// What happens to a message whose reply subject its sender could neither receive on nor publish to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyPolicy {
    /// It is routed. A responder with more rights can so be made to publish where the sender could not.
    AsNatsServer,
    /// It is refused with `Permissions Violation for Publish with Reply of "…"`.
    Checked,
}

/// Bounds of a broker. Each default is nats-server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, headers included, in bytes.
    pub max_payload: usize,
    /// Longest arguments of a control line, in bytes. A subject can be about this long.
    pub max_control_line: usize,
    /// Bytes that may wait for one client before it is dropped as a slow consumer.
    pub max_pending: usize,
    /// Clients connected at once, in browsers or not, those that have not logged in included. The host's own connections do not count.
    pub max_connections: usize,
    /// Subscriptions of one connection; `None` is unlimited.
    pub max_subscriptions: Option<usize>,
    /// Tokens in the filter of a subscription; `None` is unlimited.
    pub max_subscription_tokens: Option<usize>,
    /// A client that takes no byte for so long while bytes wait for it is dropped as a slow consumer.
    pub write_deadline: Duration,
    /// Time from INFO to a successful CONNECT.
    pub auth_timeout: Duration,
    /// Time for the TLS handshake.
    pub tls_timeout: Duration,
    /// Time for the HTTP request that opens a WebSocket.
    pub upgrade_timeout: Duration,
    /// Time between PINGs of the server on a quiet connection.
    pub ping_interval: Duration,
    /// Unanswered PINGs after which the connection is stale.
    pub ping_max: u32,
    /// Open requests a client may answer by `allow_responses` at once; the oldest gives way.
    pub max_tracked_replies: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: TlsMode::Off,
            websocket: WebSocket::Off,
            authentication: Authentication::Open,
            internal: Internal::None,
            monitoring: Monitoring::Off,
            jetstream: JetStream::Off,
            admission: Admission::AtOnce,
            reply_policy: ReplyPolicy::AsNatsServer,
            server_name: None,
            advertise: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1024 * 1024,
            max_control_line: 4096,
            max_pending: 64 * 1024 * 1024,
            max_connections: 65_536,
            max_subscriptions: None,
            max_subscription_tokens: None,
            write_deadline: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(2),
            tls_timeout: Duration::from_secs(2),
            upgrade_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_mins(2),
            ping_max: 2,
            max_tracked_replies: 4096,
        }
    }
}
