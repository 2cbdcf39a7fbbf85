//! The SQLite backend keeps the rules of every backend.

use std::sync::Arc;

use async_trait::async_trait;
use membership_store::conformance::{Backend, run_all};
use membership_store::{MembershipStore, SqliteOptions, SqliteStore, ViewLimits};
use tempfile::TempDir;

/// A database file in a directory of its own.
pub(crate) struct SqliteBackend {
    directory: TempDir,
}

impl SqliteBackend {
    pub(crate) fn fresh() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn open(&self, limits: ViewLimits) -> Arc<dyn MembershipStore> {
        let path = self.directory.path().join("store").join("unibus.db");
        let options = SqliteOptions { limits, ..SqliteOptions::default() };
        Arc::new(SqliteStore::open_with(path, options).await.expect("the store opens"))
    }

    /// One process has the file open once; its handles share it.
    async fn open_second(&self, first: &Arc<dyn MembershipStore>, _: ViewLimits) -> Arc<dyn MembershipStore> {
        first.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_backend_conforms() {
    run_all(async || SqliteBackend::fresh()).await;
}
