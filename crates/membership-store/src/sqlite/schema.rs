//! The schema's version: whether a file is ours, whole and not newer than this program; migrations.

use std::fs;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, SqliteConnection};

use super::open::{OpenError, Place};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// "UNIB" in the file's header; the first migration sets it.
const APPLICATION_ID: i64 = 0x554E_4942;
/// Files up to this size are checked page by page at every start, which takes well under a second.
const QUICK_CHECK_MAX_BYTES: u64 = 256 << 20;

/// The newest schema version that this program knows.
fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Looks at a file without changing it; refuses what is not a database of ours that this program can use.
pub(super) async fn inspect(place: &Place) -> Result<(), OpenError> {
    let size = fs::metadata(place.path())
        .map_err(|source| OpenError::Unwritable { path: place.path().to_owned(), source })?
        .len();
    if size == 0 {
        return Ok(());
    }
    let mut connection = place.connect_to_inspect().await?;
    let verdict = inspect_open(&mut connection, place, size).await;
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "closing the inspected database failed");
    }
    verdict
}

async fn inspect_open(connection: &mut SqliteConnection, place: &Place, size: u64) -> Result<(), OpenError> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: i64 = scalar(tables, connection, place).await?;
    if tables == 0 {
        return Ok(());
    }
    let application: i64 = scalar("PRAGMA application_id", connection, place).await?;
    let migrated = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let migrated: i64 = scalar(migrated, connection, place).await?;
    // Killed right after the migration table was made: nothing of ours is in there yet.
    let interrupted = application == 0 && tables == migrated;
    if application != APPLICATION_ID && !interrupted {
        return Err(OpenError::Foreign { path: place.path().to_owned() });
    }
    if migrated == 0 {
        return Err(place.corrupt("the table of migrations is missing"));
    }
    let version = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
    let found: i64 = scalar(version, connection, place).await?;
    if found > newest() {
        return Err(OpenError::NewerSchema { path: place.path().to_owned(), found, known: newest() });
    }
    if size <= QUICK_CHECK_MAX_BYTES {
        let verdict: String = scalar("PRAGMA quick_check(1)", connection, place).await?;
        if verdict != "ok" {
            return Err(place.corrupt(verdict));
        }
    }
    Ok(())
}

async fn scalar<T>(
    sql: &'static str,
    connection: &mut SqliteConnection,
    place: &Place,
) -> Result<T, OpenError>
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    sqlx::query_scalar(sql).fetch_one(connection).await.map_err(|error| place.refuse(error))
}

/// Brings the schema to the newest version.
pub(super) async fn migrate(connection: &mut SqliteConnection, place: &Place) -> Result<(), OpenError> {
    // Not `run`: with its generic lifetime the compiler cannot tell that the future can be sent.
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => place.refuse(error),
        MigrateError::VersionMissing(found) => {
            OpenError::NewerSchema { path: place.path().to_owned(), found, known: newest() }
        }
        other => place.corrupt(other.to_string()),
    })
}
