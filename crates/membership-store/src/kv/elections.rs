//! Word of new leaders, so that nobody waits for an answer that the old one does not give any more.
//!
//! While a stream has no leader, requests are lost without a word or refused at once, depending on what the servers have
//! noticed by then. Its next leader tells everybody in the account. Whoever waits looks again then: nothing that is right
//! depends on this word, and where it does not come, the usual times hold.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where a server says that it leads a stream from now on.
const ELECTED: &str = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED";

/// The new leaders of one stream.
#[derive(Debug, Clone)]
pub(super) struct Elections {
    count: watch::Receiver<u64>,
    /// Aborted with the last clone.
    _listening: Arc<JoinSet<()>>,
}

impl Elections {
    /// Listens from now on.
    pub(super) fn of(client: Client, stream: &str) -> Self {
        let subject = format!("{ELECTED}.{stream}");
        let (counted, count) = watch::channel(0);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let Ok(mut elected) = client.subscribe(subject).await else { return };
            while elected.next().await.is_some() {
                counted.send_modify(|count| *count += 1);
            }
        });
        Self { count, _listening: Arc::new(listening) }
    }

    /// Whoever looks out for a leader that comes from now on.
    pub(super) fn lookout(&self) -> Lookout {
        let mut count = self.count.clone();
        count.mark_unchanged();
        Lookout(count)
    }
}

/// Looks out for a new leader.
#[derive(Debug)]
pub(super) struct Lookout(watch::Receiver<u64>);

impl Lookout {
    /// Returns when there is one, if there ever is.
    pub(super) async fn elected(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody tells any more.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for so long at most; whether there is one.
    pub(super) async fn elected_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.elected()).await.is_ok()
    }
}
