//! Writes, one function each. All have the same order: take the turn, check against the view, write in a
//! transaction, commit, change the view, give the turn back.

pub(super) mod audit;
pub(super) mod blobs;
pub(super) mod keys;
pub(super) mod rooms;
pub(super) mod users;

use std::sync::Arc;

use super::Inner;
use crate::StoreError;

/// The fact that the bus was set up.
pub(super) const FIRST_START: &str = "first_start";

/// Remembers that the bus was set up, and when.
pub(super) async fn mark_first_start(store: Arc<Inner>, at: u64) -> Result<(), StoreError> {
    let mut transaction = store.writer.turn().await?.begin().await?;
    sqlx::query("INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(FIRST_START)
        .bind(at.to_string())
        .execute(transaction.connection())
        .await?;
    transaction.commit().await?;
    Ok(())
}
