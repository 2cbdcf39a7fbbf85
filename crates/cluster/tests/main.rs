//! Nodes on real parts: certificates, processes, nats-servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

mod guards;
mod pki;
