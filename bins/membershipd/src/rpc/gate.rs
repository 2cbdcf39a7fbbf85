//! The gate through which everything goes that is sent to askers, so that a change of rights can wait for what is under
//! way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control_plane::DataPlaneError;
use tokio::sync::{RwLock, RwLockReadGuard, watch};

/// How long a change of rights waits for answers under way.
const SETTLE: Duration = Duration::from_secs(5);

/// Nobody subscribes to this, so the server answers at once that nobody does.
const NOWHERE: &str = "unibus.internal.settle";

/// The connection that answers are sent on, and its order with changes of rights.
pub(crate) struct Gate {
    client: async_nats::Client,
    /// Shared from the last look at the asker's rights until its messages are handed to the connection; exclusive for a
    /// change of rights.
    deliveries: RwLock<()>,
    /// Something was handed over since the last change.
    delivered: AtomicBool,
    changes: watch::Sender<()>,
}

/// Held while messages are handed to the connection.
pub(super) type Delivery<'a> = RwLockReadGuard<'a, ()>;

impl Gate {
    pub(crate) fn new(client: async_nats::Client) -> Self {
        let (changes, _) = watch::channel(());
        Self { client, deliveries: RwLock::new(()), delivered: AtomicBool::new(false), changes }
    }

    pub(super) fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Waits while a change of rights is put into force. Look at the rights once more under this.
    pub(super) async fn deliver(&self) -> Delivery<'_> {
        let delivery = self.deliveries.read().await;
        self.delivered.store(true, Ordering::Release);
        delivery
    }

    /// Says when rights may have changed, so that whoever waits looks again.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The view has changed. When this returns, nothing is sent under old rights any more, and what was sent before has
    /// reached the server.
    pub(crate) async fn settle(&self) -> Result<(), DataPlaneError> {
        self.changes.send_replace(());
        let settled = async {
            drop(self.deliveries.write().await);
            if self.delivered.swap(false, Ordering::AcqRel) {
                // Behind everything on the same connection, whatever the answer to it is.
                drop(self.client.request(NOWHERE, bytes::Bytes::new()).await);
            }
        };
        tokio::time::timeout(SETTLE, settled)
            .await
            .map_err(|_| DataPlaneError::Unconfirmed("answers under way did not end in time".to_owned()))
    }

    /// Hands what is waiting to the server.
    pub(crate) async fn flush(&self) {
        if let Err(error) = self.client.flush().await {
            tracing::debug!(%error, "the last answers may not have been sent");
        }
    }
}
