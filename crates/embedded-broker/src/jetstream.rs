//! JetStream: streams that keep messages, and consumers that read them.
//!
//! ```text
//! publisher ─► stream (checks, sequence) ─► commit queue ─► committer: apply, sync ─► acknowledgement
//!                                                              │ visible mark
//! reader ◄── worker: consumer, direct get, API ◄── wake ◄──────┘
//! ```
//!
//! Nothing here is async. Connection tasks append to queues that are locked for a moment, and never read the disk; one
//! thread, the *committer*, writes; a few *workers* read, and run consumers, the API and timers (`scheduler`). All of
//! them send through the same index of subscriptions as clients do (`sender`).
//!
//! **Invariants**
//!
//! - A publish is acknowledged when it is on disk, and readers see nothing that is not (`commit`).
//! - A sequence is given away once (`publish`).
//! - What a stream holds is changed by the committer alone (`commit`).
//! - Whatever goes on after a request ends with the right to ask for it (`origin`).

mod acknowledgement;
mod advisory;
mod api;
mod api_error;
mod clock;
mod commit;
mod config;
mod consumer;
mod consumer_config;
mod dedupe;
mod direct_get;
mod duration;
mod engine;
mod follower;
mod headers;
mod health;
mod json;
mod origin;
mod publish;
mod scheduler;
mod sender;
mod store;
mod stream;
mod stream_config;
mod ttl;
mod usage;

pub(crate) use api::{API_LEVEL, StateInfo, StreamInfo};
pub use config::{JetStream, JetStreamConfig, JetStreamLimits, Store, SyncPolicy};
pub(crate) use consumer::ConsumerInfo;
pub use engine::JetStreamError;
pub(crate) use engine::{Clients, Engine};
pub use health::{DamagedStream, JetStreamHealth};
pub(crate) use stream::Stream;
pub(crate) use stream_config::{Storage, StreamConfig};

#[cfg(test)]
mod tests;
