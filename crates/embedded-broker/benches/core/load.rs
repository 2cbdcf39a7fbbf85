//! The load generator: the raw protocol over blocking sockets, with a few threads, batched writes, and every
//! message checked byte by byte.

mod access;
mod batch;
mod checker;
mod client;
mod connections;
mod fan_out;
mod hostile;
mod progress;
mod request;
mod stream;
mod throughput;

pub(crate) use access::Access;
pub(crate) use connections::{idle, logins};
pub(crate) use fan_out::fan_out;
pub(crate) use hostile::{Attack, hostile};
pub(crate) use request::request;
pub(crate) use throughput::{one_to_one, publish};

use std::time::Duration;

/// Longest time without any byte that a server owes: something is lost then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where messages are published; a room of users 0 and [`SUBSCRIBER`].
const SUBJECT: &str = "room.0.bench";

/// Number of a user who is in the same room as user 0.
const SUBSCRIBER: usize = 1_000;
