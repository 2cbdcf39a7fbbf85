//! What the tests stand on.

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod disk;
pub(crate) mod foreign_nats;
pub(crate) mod nats_server;
pub(crate) mod nodes;
pub(crate) mod pair;
pub(crate) mod raw_client;
pub(crate) mod trio;
pub(crate) mod users;

use std::{future::Future, time::Duration};

/// Long enough for a slow machine; what does not come by then does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that has to come.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}
