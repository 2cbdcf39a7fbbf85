//! Other NATS clients list and read blobs as objects.

use async_nats::jetstream;
use blobstore::{BlobError, BlobStore as _, ReadRange};
use futures_util::TryStreamExt as _;
use nats_testkit::{Servers, connect};
use tokio::io::AsyncReadExt as _;

use super::world::{Bucket, embedded, nats};
use crate::support::{content, put, read};

async fn other_clients_read(servers: std::sync::Arc<Servers>) {
    let bucket = Bucket::new(&servers, "objects");
    let store = bucket.open(0).await;
    let context = jetstream::new(connect(&servers.addresses(0)).await);
    let objects = context.get_object_store("objects").await.expect("it is an object store");
    for length in [1, 131_072, 131_073, 700_001] {
        let bytes = content(length);
        let blob = put(&store, &bytes).await.expect("the blob is stored");
        let mut object = objects.get(blob.to_string()).await.expect("an object");
        assert_eq!(object.info.size, length);
        let mut got = Vec::new();
        // The client checks the digest at the end.
        object.read_to_end(&mut got).await.expect("the object is read");
        assert_eq!(got, bytes, "{length} bytes");
    }
    let listed: Vec<_> = objects.list().await.expect("a listing").try_collect().await.expect("objects");
    assert_eq!(listed.len(), 4);
    // What they delete is gone here, and can be stored again.
    let bytes = content(700_001);
    let blob = put(&store, &bytes).await.expect("the blob is stored");
    objects.delete(blob.to_string()).await.expect("the object is deleted");
    assert_eq!(store.stat(&blob).await, Err(BlobError::NotFound));
    assert_eq!(store.list(None, 10).await.expect("a listing").len(), 3);
    assert_eq!(bucket.subjects("C.>").await.len(), 4, "its chunks are gone");
    put(&store, &bytes).await.expect("the blob is stored");
    assert_eq!(read(&store, &blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_clients_read_blobs_as_objects_in_the_embedded_broker() {
    other_clients_read(embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_clients_read_blobs_as_objects_in_a_nats_server() {
    let Some(servers) = nats(1).await else { return };
    other_clients_read(servers).await;
}
