//! What an error of SQLite means to a caller of the store.

use crate::StoreError;

pub(super) use crate::error::damaged;

/// Primary result codes (<https://www.sqlite.org/rescode.html>).
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_NOTADB: i32 = 26;

/// The primary result code, without the extension in its upper bits.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether the file is damaged, as opposed to out of reach.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => true,
        // Every write was checked against the view: a constraint that fails all the same means that the file
        // and the view differ.
        error => matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB | SQLITE_CONSTRAINT)),
    }
}

/// Whether the operating system did not let SQLite open or write the file.
pub(super) fn is_refused_by_system(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_READONLY | SQLITE_CANTOPEN))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_damage(&error) {
            tracing::error!(%error, "the membership store is damaged");
            Self::Corrupt
        } else {
            tracing::error!(%error, "the membership store is not available");
            Self::Unavailable
        }
    }
}
