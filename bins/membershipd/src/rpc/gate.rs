//! The gate through which everything goes that is sent to askers, so that a change of rights can wait for what is under
//! way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::client::{RequestError, RequestErrorKind};
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
        let settled = tokio::time::timeout(SETTLE, self.all_delivered()).await;
        let problem = match settled {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "answers under way did not end in time".to_owned(),
        };
        // Whoever asks again is not told that nothing was under way.
        self.delivered.store(true, Ordering::Release);
        Err(DataPlaneError::Unconfirmed(problem))
    }

    async fn all_delivered(&self) -> Result<(), RequestError> {
        drop(self.deliveries.write().await);
        if !self.delivered.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // Behind everything on the same connection. That nobody answers there is said by the server that has it all.
        match self.client.request(NOWHERE, bytes::Bytes::new()).await {
            Err(error) if error.kind() != RequestErrorKind::NoResponders => Err(error),
            _ => Ok(()),
        }
    }

    /// Hands what is waiting to the server.
    pub(crate) async fn flush(&self) {
        if let Err(error) = self.client.flush().await {
            tracing::debug!(%error, "the last answers may not have been sent");
        }
    }
}
