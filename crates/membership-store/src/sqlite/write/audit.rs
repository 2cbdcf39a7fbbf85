//! Writing the audit.

use std::sync::Arc;

use super::Inner;
use crate::{NewAuditEntry, StoreError};

/// Appends a record; answers its number.
pub(in crate::sqlite) async fn append(store: Arc<Inner>, entry: NewAuditEntry) -> Result<u64, StoreError> {
    let entry = entry.cut();
    let mut transaction = store.writer.turn().await?.begin().await?;
    let sql = "INSERT INTO audit (at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?) RETURNING seq";
    let seq: i64 = sqlx::query_scalar(sql)
        .bind(entry.at.cast_signed())
        .bind(entry.actor.to_string())
        .bind(entry.action)
        .bind(entry.target)
        .bind(entry.detail)
        .fetch_one(transaction.connection())
        .await?;
    transaction.commit().await?;
    Ok(seq.cast_unsigned())
}
