//! The load generator: the raw protocol over one blocking socket, batched writes, and every answer checked.

mod client;
mod consume;
mod get;
mod kv;
mod payload;
mod publish;
mod quiet;
mod recover;
mod verify;
mod window;

pub(crate) use consume::{Pull, consume};
pub(crate) use get::{Ask, get};
pub(crate) use kv::put;
pub(crate) use publish::publish;
pub(crate) use recover::recover;

use std::time::Duration;

/// Longest time without any byte that a server owes: something is lost then.
const PATIENCE: Duration = Duration::from_secs(20);

/// Messages under way while a stream is filled.
const FILLING: usize = 1024;

/// Keys of a bucket.
const KEYS: u64 = 1000;
