//! The backend in JetStream keeps the rules of every backend, wherever its bucket is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use blobstore::BlobStore;
use blobstore::conformance::{Backend, run_all};
use nats_testkit::Servers;

use super::world::{Bucket, embedded, nats};

struct JetStream {
    bucket: Bucket,
    /// Stores are opened through one server after the other.
    opened: AtomicUsize,
}

#[async_trait]
impl Backend for JetStream {
    async fn open(&self) -> Arc<dyn BlobStore> {
        Arc::new(self.bucket.open(self.opened.fetch_add(1, Ordering::Relaxed)).await)
    }

    async fn staged(&self) -> usize {
        self.bucket.staged().await
    }
}

async fn conforms(servers: Arc<Servers>) {
    let number = AtomicUsize::new(0);
    let fresh = async || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = number.checked_sub(1) {
            Bucket::new(&servers, &format!("b{before}")).delete().await;
        }
        JetStream { bucket: Bucket::new(&servers, &format!("b{number}")), opened: AtomicUsize::new(number) }
    };
    run_all(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jetstream_backend_conforms_in_the_embedded_broker() {
    conforms(embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jetstream_backend_conforms_in_a_nats_server() {
    let Some(servers) = nats(1).await else { return };
    conforms(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jetstream_backend_conforms_in_three_nats_servers() {
    let Some(servers) = nats(3).await else { return };
    conforms(servers).await;
}
