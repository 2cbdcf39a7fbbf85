//! That a bus is being moved into a cluster: said over the account that only nodes enter, from before anything is written
//! there.
//!
//! A node that finds no store makes one and begins. Whoever moves a bus in is asked first, so that an empty bus does not
//! begin where another one is about to arrive. What is written is marked as well (`KvStore::is_moving`), which holds when
//! nobody answers any more.

use std::time::Duration;

use async_nats::{Client, RequestErrorKind};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SUBJECT: &str = "unibus.cluster.moving";
const PATIENCE: Duration = Duration::from_secs(2);

/// Says so until it is withdrawn.
pub(crate) struct Announcement {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Announcement {
    /// Begins to say so; when this returns, everybody who is connected to this node's server is answered.
    pub(crate) async fn make(control: Client) -> Result<Self, String> {
        let mut asked = control.subscribe(SUBJECT).await.map_err(|error| error.to_string())?;
        control.flush().await.map_err(|error| error.to_string())?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let told = stop.clone();
        tasks.spawn(async move {
            while let Some(Some(question)) = told.run_until_cancelled(asked.next()).await {
                if let Some(reply) = question.reply
                    && let Err(error) = control.publish(reply, Bytes::new()).await
                {
                    tracing::debug!(%error, "a node was not told that a bus is being moved in");
                }
            }
        });
        tasks.close();
        Ok(Self { stop, tasks })
    }

    /// Ends it.
    pub(crate) async fn withdraw(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// Whether somebody moves a bus into the cluster now. An answer that does not come is taken for a yes.
pub(crate) async fn is_somebody_moving(control: &Client) -> bool {
    let asked = tokio::time::timeout(PATIENCE, control.request(SUBJECT, Bytes::new())).await;
    !matches!(asked, Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders)
}

#[cfg(test)]
mod tests {
    use nats_testkit::Servers;

    use super::*;

    #[tokio::test]
    async fn who_asks_is_told_as_long_as_it_lasts() {
        let servers = Servers::embedded().await;
        let (mover, node) = (servers.connect(0).await.client(), servers.connect(0).await.client());
        assert!(!is_somebody_moving(&node).await);
        let announcement = Announcement::make(mover).await.unwrap();
        assert!(is_somebody_moving(&node).await);
        announcement.withdraw().await;
        assert!(!is_somebody_moving(&node).await);
    }
}
