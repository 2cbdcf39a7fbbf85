//! What the control plane needs from whichever data plane runs.

use async_trait::async_trait;
use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::DataPlaneHealth;

use crate::streams::RoomStreams;

/// The data plane did not do what it was told, or cannot say whether it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataPlaneError {
    /// Whether it happened is unknown; the text is for the log.
    #[error("the data plane did not confirm: {0}")]
    Unconfirmed(String),
    /// It did not happen: there is no room for more on its disk.
    #[error("the disk of the data plane is full: {0}")]
    Full(String),
}

/// The broker's side of an access change: embedded, clustered or external.
#[async_trait]
pub trait DataPlane: RoomStreams {
    /// The rights of these users changed. When this returns `Ok`, nothing is accepted from them or delivered
    /// to them under their old rights any more, on every node. May be called for users who are not connected.
    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError>;

    /// Publishes a hint. Best effort: a lost hint costs its receiver time and nothing else.
    async fn publish_event(&self, subject: &Subject, payload: Bytes);

    /// Where clients connect (`nats://host:port`, `tls://host:port`).
    fn client_urls(&self) -> Vec<String>;

    /// Whether clients have to use TLS.
    fn tls(&self) -> bool;

    /// How it is, from memory.
    fn health(&self) -> DataPlaneHealth;
}
