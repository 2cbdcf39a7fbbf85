//! While a bus is being moved in: nothing is written but by whoever moves it, and nobody is let in on what is there.
//!
//! A store that is half there must not be used: the log of a room may end before the entry that removed somebody. The
//! mark is a message in the order of the bucket like every other. Whoever has not seen it cannot write behind it, and
//! it stays when a move is cut off.

use async_nats::jetstream::Context;

use super::commit::Decision;
use super::keys::Key;
use super::messages::MovingMessage;
use super::{Inner, KvOpenError, KvOptions, KvStore};
use crate::StoreError;

impl KvStore {
    /// Whether a bus is being moved into this store, or a move was begun and is not finished. Nobody may be let in then.
    pub fn is_moving(&self) -> bool {
        self.inner.memory.index.read().is_moving()
    }

    /// Opens the store for whoever moves a bus into it.
    pub(crate) async fn open_to_move(context: Context, options: KvOptions) -> Result<Self, KvOpenError> {
        Self::open_as(context, options, true).await
    }

    /// Marks the store, or takes the mark away.
    pub(crate) async fn set_moving(&self, moving: bool) -> Result<(), StoreError> {
        let decide = |store: &Inner| {
            if store.memory.index.read().is_moving() == moving {
                return Ok(Decision::Answer(Ok(())));
            }
            Decision::write(Key::Moving, &MovingMessage { moving }, ())
        };
        self.inner.write(decide).await
    }
}

impl Inner {
    /// Refuses what must wait for the end of a move.
    pub(super) fn check_not_moving(&self) -> Result<(), StoreError> {
        if self.moves || !self.memory.index.read().is_moving() {
            return Ok(());
        }
        tracing::warn!("nothing is changed while a bus is being moved into this store");
        Err(StoreError::Unavailable)
    }
}
