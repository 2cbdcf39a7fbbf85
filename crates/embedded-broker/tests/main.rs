//! The broker over real sockets: raw protocol, real TLS, a real NATS client, and nats-server as the oracle.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod support;

mod access_changes;
mod admission;
mod bad_input;
mod cases;
mod clients;
mod consumer_access;
mod consumer_counts;
mod differential;
mod fan_out;
mod generated;
mod hostile;
mod jetstream;
mod keepalive;
mod limits;
mod live_permissions;
mod login;
mod monitoring;
mod other_clients;
mod queue_groups;
mod reply_policy;
mod shutdown;
mod slow_consumers;
mod tls;
mod websocket;
