//! The directory backend keeps the rules of every backend.

use std::sync::Arc;

use async_trait::async_trait;
use blobstore::BlobStore;
use blobstore::conformance::{Backend, run_all};
use tempfile::TempDir;

use crate::support;

struct Directory(TempDir);

#[async_trait]
impl Backend for Directory {
    async fn open(&self) -> Arc<dyn BlobStore> {
        Arc::new(support::open(self.0.path()).await)
    }

    async fn staged(&self) -> usize {
        support::staged(self.0.path())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_backend_conforms() {
    run_all(async || Directory(crate::support::directory())).await;
}
