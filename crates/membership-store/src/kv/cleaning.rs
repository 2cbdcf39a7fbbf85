//! Removes what nobody reads any more: the messages of deleted rooms, and sealed sets that no entry came to name.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures_util::StreamExt as _;
use room_protocol::RoomId;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Inner;

/// How often it is looked. A set that was not named for so long never will be: writes end within minutes.
const EVERY: Duration = Duration::from_hours(1);
/// How many sets without a name are remembered from one round to the next.
const MAX_UNNAMED: usize = 10_000;
/// After how long a room is tried again of which something could not be removed.
const AGAIN: Duration = Duration::from_secs(5);
const BATCH: usize = 500;
const BATCH_TIMEOUT: Duration = Duration::from_secs(2);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

impl Inner {
    /// Removes the messages of deleted rooms, until there are none left.
    async fn remove_leftovers(&self) {
        loop {
            let rooms = self.memory.loose.lock().leftovers();
            let mut is_done = true;
            for room in rooms {
                if self.remove_leftover(&room).await {
                    self.memory.loose.lock().forget_leftover(&room);
                } else {
                    is_done = false;
                    break;
                }
            }
            if is_done {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Removes the messages of a deleted room; says whether none are left.
    async fn remove_leftover(&self, room: &RoomId) -> bool {
        // The bucket that decides access last: as long as it has messages of the room, somebody finds them.
        let keys = format!("{}*.{room}.>", self.buckets.keys.prefix);
        let ctl = format!("{}room.{room}.>", self.buckets.ctl.prefix);
        let is_done =
            purge(&self.buckets.keys.stream, &keys).await && purge(&self.buckets.ctl.stream, &ctl).await;
        if !is_done {
            tracing::warn!(%room, "messages of a deleted room could not be removed; it is tried again");
        }
        is_done
    }

    /// The set that a message is part of, unless an entry names it.
    fn unnamed_set(&self, subject: &str) -> Option<(RoomId, String)> {
        let mut words = subject.strip_prefix(self.buckets.keys.prefix.as_str())?.split('.').skip(1);
        let (room, set) = (words.next()?.parse().ok()?, words.next()?);
        (!self.memory.index.read().names_set(&room, set)).then(|| (room, set.to_owned()))
    }

    /// Removes sets that no entry names now and none named in the round before; answers those that none names now.
    async fn remove_unnamed(&self, before: &HashSet<(RoomId, String)>) -> Option<HashSet<(RoomId, String)>> {
        // Whatever was named before this is in the view then.
        self.barrier().await.ok()?;
        let mut unnamed = HashSet::new();
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            filter_subject: format!("{}set.>", self.buckets.keys.prefix),
            headers_only: true,
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.buckets.keys.stream.create_consumer(config).await.ok()?;
        let mut left = consumer.cached_info().num_pending;
        while left > 0 && unnamed.len() < MAX_UNNAMED {
            let fetch = consumer.fetch().max_messages(BATCH).expires(BATCH_TIMEOUT);
            let mut messages = fetch.messages().await.ok()?;
            let before = left;
            while let Some(Ok(message)) = messages.next().await {
                left = left.saturating_sub(1);
                unnamed.extend(self.unnamed_set(&message.subject));
            }
            if left == before {
                break;
            }
        }
        for (room, set) in before.intersection(&unnamed) {
            purge(&self.buckets.keys.stream, &format!("{}set.{room}.{set}.*", self.buckets.keys.prefix))
                .await;
        }
        Some(unnamed)
    }
}

async fn purge(stream: &async_nats::jetstream::stream::Stream<()>, filter: &str) -> bool {
    let purged = stream.purge().filter(filter).await;
    purged.inspect_err(|error| tracing::debug!(%error, filter, "messages were not removed")).is_ok()
}

/// Removes the messages of deleted rooms at the start, after deletions and now and then, until it is stopped. What is left
/// then is found by the next start.
pub(super) async fn clean_rooms(store: Arc<Inner>, stop: CancellationToken) {
    let rounds = async {
        loop {
            store.remove_leftovers().await;
            // Rooms that others deleted are left to them for a while.
            drop(timeout(EVERY, store.deleted.notified()).await);
        }
    };
    stop.run_until_cancelled(rounds).await;
}

/// Removes sets without a name at the start and now and then, until it is stopped.
pub(super) async fn clean_sets(store: Arc<Inner>, stop: CancellationToken) {
    let rounds = async {
        let mut unnamed = HashSet::new();
        loop {
            unnamed = Box::pin(store.remove_unnamed(&unnamed)).await.unwrap_or_default();
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(rounds).await;
}
