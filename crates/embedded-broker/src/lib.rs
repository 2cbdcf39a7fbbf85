//! An in-process NATS server for tests and small deployments.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = embedded_broker::Broker::bind(embedded_broker::BrokerConfig::default()).await?;
//! let client = async_nats::connect(broker.client_url()).await?;
//! # client.publish("greet.joe", "hello".into()).await?;
//! # drop(client);
//! broker.shutdown(std::time::Duration::from_secs(1)).await;
//! # Ok(()) }
//! ```
//!
//! Any NATS client can connect: INFO, CONNECT, PUB and HPUB, SUB with wildcards and queue groups, UNSUB with a
//! maximum, request and reply with "no responders", TLS, WebSocket, nkeys, permissions; and JetStream on one node, with
//! [`BrokerConfig::jetstream`]: streams, consumers, key-value and object stores. `docs/embedded-broker.md` says what is the same
//! as on nats-server, what differs and why, and what is refused.
//!
//! **Data flow.** A connection's task reads into one buffer and parses frames in place (`protocol`). It runs the whole
//! batch under the connection's `dispatch` lock (`session`): each message's subject is looked up in the connection's
//! cache or the shared index (`routing`), and its frame is appended once to the outbound buffer of every subscriber.
//! Then each of their tasks is woken once, and writes all it has with one call. There is no task in the middle.
//!
//! **Invariants**
//!
//! - No lock is held across an await; the order is access → dispatch → index → outbound.
//! - After [`Broker::access_changed`] returns, nothing is accepted or appended under old rights (`access`).
//! - What waits for a client is bounded in bytes ([`Limits::max_pending`]); a slow client is dropped, and never holds
//!   up another one's messages.
//! - Every task is tracked: after [`Broker::shutdown`] none is left.

mod access;
mod broker;
mod config;
mod jetstream;
mod listener;
mod monitoring;
mod pressure;
pub mod protocol;
mod registry;
mod routing;
mod session;

pub use broker::{BindError, Broker, Shutdown};
pub use config::{
    Admission, Authentication, BrokerConfig, Internal, Limits, Monitoring, Origin, OriginError, OriginPolicy,
    ReplyPolicy, TlsMode, WebSocket, WebSocketTls,
};
pub use jetstream::{
    DamagedStream, JetStream, JetStreamConfig, JetStreamError, JetStreamHealth, JetStreamLimits, Store,
    SyncPolicy,
};
pub use monitoring::{ConnectionInfo, JetStreamStats, Stats};
pub use session::DisconnectReason;
