//! Writes, one function each: what has to be checked, and the one message that it becomes.

pub(super) mod files;
pub(super) mod keys;
pub(super) mod rooms;
pub(super) mod users;

use super::Inner;
use super::commit::Decision;
use super::keys::Key;
use super::messages::FirstStartMessage;
use crate::StoreError;

/// Remembers that the bus was set up, and when.
pub(super) async fn mark_first_start(store: &Inner, at: u64) -> Result<(), StoreError> {
    let decide = |store: &Inner| {
        if store.memory.index.read().has_first_start_mark() {
            return Ok(Decision::Answer(Ok(())));
        }
        Decision::write(Key::FirstStart, &FirstStartMessage { at }, ())
    };
    store.write(decide).await
}
