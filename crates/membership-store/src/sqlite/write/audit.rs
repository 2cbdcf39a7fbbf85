//! Writing the audit.

use std::sync::Arc;

use super::Inner;
use crate::{NewAuditEntry, StoreError};

/// Appends a record; answers its number.
pub(in crate::sqlite) async fn append(store: Arc<Inner>, entry: NewAuditEntry) -> Result<u64, StoreError> {
    let mut transaction = store.writer.turn().await?.begin().await?;
    let sql = "INSERT INTO audit (at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?) RETURNING seq";
    let seq: i64 = sqlx::query_scalar(sql)
        .bind(entry.at.cast_signed())
        .bind(entry.actor.to_string())
        .bind(cut(&entry.action, NewAuditEntry::MAX_ACTION))
        .bind(entry.target.as_deref().map(|target| cut(target, NewAuditEntry::MAX_TARGET)))
        .bind(entry.detail.as_deref().map(|detail| cut(detail, NewAuditEntry::MAX_DETAIL)))
        .fetch_one(transaction.connection())
        .await?;
    transaction.commit().await?;
    Ok(seq.cast_unsigned())
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
