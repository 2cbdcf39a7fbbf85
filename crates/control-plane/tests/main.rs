//! The control plane as its clients meet it: real sockets, a real SQLite store, and a data plane that
//! records what it is told.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it inside of tests; what supports them is no other case"
)]

mod support;

mod access;
mod blob_faults;
mod blobs;
mod documentation;
mod history;
mod keys;
mod local_router;
mod malformed_requests;
mod membership_log;
mod modes;
mod rooms;
mod server;
mod signed_requests;
mod users;
