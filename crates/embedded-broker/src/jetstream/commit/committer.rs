//! The committer's thread.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{CommitQueue, Done, Failure, Item, Publish, Then, Work, group::Group};
use crate::jetstream::{
    acknowledgement,
    config::SyncPolicy,
    follower::Follower,
    sender::Sender,
    store::{StoreError, StreamStore},
    stream::Stream,
    stream_config::Storage,
};

/// The thread that writes.
pub(crate) struct Committer {
    pub(crate) queue: Arc<CommitQueue>,
    pub(crate) files: Arc<dyn StreamStore>,
    pub(crate) memory: Arc<dyn StreamStore>,
    pub(crate) sync: SyncPolicy,
    pub(crate) sender: Sender,
    pub(crate) synced: Instant,
}

/// What follows when a group is durable, or has failed.
enum Effect {
    Acknowledge { reply: Box<str>, stream: Arc<Stream>, seq: u64 },
    Void { reply: Box<str>, stream: Arc<Stream> },
    Then { then: Then, done: Done },
    Go(Box<dyn FnOnce() + Send>),
    Reply(super::Reply),
}

impl Committer {
    /// Works until the queue is stopped and empty.
    pub(crate) fn run(mut self) {
        while let Some(work) = self.queue.take() {
            self.commit(work);
        }
        if let Err(error) = self.files.sync() {
            tracing::error!(%error, "the last sync failed");
        }
    }

    fn commit(&mut self, Work { items, changed }: Work) {
        let mut effects = Vec::with_capacity(items.len());
        let mut group = Group::new(Arc::clone(&self.files), Arc::clone(&self.memory));
        let result = self.write(items, &changed, &mut group, &mut effects);
        match result {
            Ok(()) => {
                group.show();
                for effect in effects {
                    self.succeed(effect);
                }
            }
            Err(error) => {
                let failure = Failure::from(&error);
                tracing::error!(%error, "a group could not be written: what was to be stored with it is refused");
                group.roll_back();
                for effect in effects {
                    self.fail(effect, &failure);
                }
            }
        }
        self.sender.flush();
    }

    /// Applies everything and syncs. `effects` has everything that was in `items`, also after an error.
    fn write(
        &mut self,
        items: Vec<Item>,
        changed: &[Arc<dyn Follower>],
        group: &mut Group,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StoreError> {
        for follower in changed {
            let storage = if follower.keeps_state_in_memory() { Storage::Memory } else { Storage::File };
            let replies = follower.take_changes(group.changes(storage));
            group.needs_sync |= storage == Storage::File && !replies.is_empty();
            effects.extend(replies.into_iter().map(Effect::Reply));
        }
        let mut failed = None;
        for item in items {
            match item {
                Item::Message(publish) => {
                    if failed.is_some() || publish.epoch != publish.stream.epoch() {
                        effects.extend(void(publish));
                    } else {
                        effects.extend(acknowledge(&publish));
                        group.put(publish);
                    }
                }
                Item::Operation { stream, operation, then } => {
                    let done = if failed.is_some() {
                        Done { removed: 0 }
                    } else {
                        group.operate(&stream, operation).unwrap_or_else(|error| {
                            failed = Some(error);
                            Done { removed: 0 }
                        })
                    };
                    effects.push(Effect::Then { then, done });
                }
                Item::Reply(reply) => effects.push(Effect::Reply(reply)),
                Item::Then(go) => effects.push(Effect::Go(go)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        group.finish()?;
        self.sync_if_due(group.needs_sync)
    }

    fn sync_if_due(&mut self, needed: bool) -> Result<(), StoreError> {
        match self.sync {
            SyncPolicy::Always if needed => self.files.sync(),
            SyncPolicy::Every(interval) if needed && self.synced.elapsed() >= interval => {
                self.synced = Instant::now();
                self.files.sync()
            }
            _ => Ok(()),
        }
    }

    fn succeed(&mut self, effect: Effect) {
        match effect {
            Effect::Acknowledge { reply, stream, seq } => {
                let _receivers = self.sender.publish(&reply, &acknowledgement::stored(&stream.name, seq));
            }
            Effect::Void { reply, stream } => {
                let body = acknowledgement::failed(&stream.name, &Failure::Failed(String::new()));
                let _receivers = self.sender.publish(&reply, &body);
            }
            Effect::Then { then, done } => then(Ok(done), &mut self.sender),
            Effect::Go(go) => go(),
            Effect::Reply(reply) => reply.send(&mut self.sender),
        }
    }

    fn fail(&mut self, effect: Effect, failure: &Failure) {
        match effect {
            Effect::Acknowledge { reply, stream, .. } | Effect::Void { reply, stream } => {
                let _receivers = self.sender.publish(&reply, &acknowledgement::failed(&stream.name, failure));
            }
            Effect::Then { then, .. } => then(Err(failure.clone()), &mut self.sender),
            Effect::Go(go) => go(),
            // It promises something that was not stored: silence makes the client ask again.
            Effect::Reply(_) => {}
        }
    }
}

fn acknowledge(publish: &Publish) -> Option<Effect> {
    let reply = publish.reply.clone()?;
    Some(Effect::Acknowledge { reply, stream: Arc::clone(&publish.stream), seq: publish.seq })
}

fn void(publish: Publish) -> Option<Effect> {
    Some(Effect::Void { reply: publish.reply?, stream: publish.stream })
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Streams a group has touched, by number.
pub(super) type Touched = HashMap<u32, super::group::TouchedStream, foldhash::fast::RandomState>;
