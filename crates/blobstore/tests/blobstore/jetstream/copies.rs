//! Copies of a blob: replaced, damaged, removed, under those who read them.

use std::sync::Arc;

use async_nats::HeaderMap;
use blobstore::{BlobError, BlobStore as _, Committed, Digest, Expected, JetStreamStore, ReadRange};
use bytes::Bytes;
use futures_util::future::join_all;
use nats_testkit::Servers;

use super::world::{Bucket, embedded, nats};
use crate::support::{content, put, read, space};

/// Some chunks, the last of them short.
const LENGTH: usize = 700_001;

async fn again(store: &JetStreamStore, bytes: &Bytes) -> Result<Committed, BlobError> {
    let blob = space().blob(Digest::of(bytes));
    let mut upload = store.begin(&blob, Expected { length: bytes.len() as u64 }).await?;
    upload.write(bytes.clone()).await?;
    upload.commit().await
}

async fn everywhere(what: impl AsyncFn(Arc<Servers>)) {
    what(embedded().await).await;
    if let Some(servers) = nats(1).await {
        what(servers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_stores_another_reads() {
    let Some(servers) = nats(3).await else { return };
    let bucket = Bucket::new(&servers, "shared");
    let stores = join_all((0..3).map(|node| bucket.open(node))).await;
    for (n, store) in stores.iter().enumerate() {
        let bytes = content(LENGTH + n);
        let blob = put(store, &bytes).await.expect("the blob is stored");
        for other in &stores {
            assert_eq!(read(other, &blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
        }
        assert_eq!(stores[(n + 1) % 3].remove(&blob).await, Ok(true));
        for other in &stores {
            assert_eq!(other.stat(&blob).await, Err(BlobError::NotFound));
        }
    }
    // All nodes at once, with the same bytes.
    let bytes = content(LENGTH);
    for outcome in join_all(stores.iter().map(|store| again(store, &bytes))).await {
        outcome.expect("every one of them ends well");
    }
    for store in &stores {
        let blob = space().blob(Digest::of(&bytes));
        assert_eq!(read(store, &blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
        store.close().await;
    }
    assert_eq!(bucket.staged().await, 0, "one copy is left, and no note");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_with_the_copy_that_replaced_its_own() {
    everywhere(async |servers| {
        let bucket = Bucket::new(&servers, "replaced");
        let store = bucket.open(0).await;
        let bytes = content(3_000_000);
        let blob = put(&store, &bytes).await.expect("the blob is stored");
        let mut download = store.read(&blob, ReadRange::WHOLE).await.expect("a download");
        let mut got = download.next().await.expect("the first part").expect("there is one").to_vec();
        assert_eq!(again(&store, &bytes).await, Ok(Committed::Again));
        store.close().await;
        assert_eq!(bucket.subjects("M.>").await.len(), 1);
        assert_eq!(bucket.staged().await, 0, "the first copy is gone");
        // Through a store that is open: the first one is closed to wait for what it had to clean up.
        drop(download);
        let store = bucket.open(0).await;
        let mut download = store.read(&blob, ReadRange { start: got.len() as u64, end: u64::MAX }).await;
        let mut rest = download.as_mut().expect("a download resumes").next().await.expect("a part");
        let other = bucket.open(0).await;
        assert_eq!(again(&other, &bytes).await, Ok(Committed::Again));
        other.close().await;
        while let Some(part) = rest {
            got.extend_from_slice(&part);
            rest = download.as_mut().expect("a download").next().await.expect("it goes on");
        }
        assert_eq!(got, bytes);
        store.close().await;
    })
    .await;
}

/// Writes into the bucket past the store.
async fn overwrite(bucket: &Bucket, subject: &str, payload: Bytes, mut headers: HeaderMap) {
    let context = bucket.servers.connect(0).await;
    headers.insert("Nats-Rollup", "sub");
    let subject = format!("$O.{}.{subject}", bucket.options.bucket);
    let acknowledged = context.publish_with_headers(subject, headers, payload).await.expect("it is sent");
    acknowledged.await.expect("it is stored");
}

/// A chunk as it is stored.
async fn stored(bucket: &Bucket, subject: &str) -> (Bytes, HeaderMap) {
    let context = bucket.servers.connect(0).await;
    let stream = context.get_stream(bucket.stream()).await.expect("the stream");
    let subject = format!("$O.{}.{subject}", bucket.options.bucket);
    let message = stream.get_last_raw_message_by_subject(&subject).await.expect("a message");
    let mut headers = HeaderMap::new();
    headers.insert("Unibus-Sum", message.headers.get("Unibus-Sum").expect("a checksum").clone());
    (message.payload, headers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_never_served_and_storing_again_repairs_it() {
    everywhere(async |servers| {
        let bucket = Bucket::new(&servers, "damaged");
        let store = bucket.open(0).await;
        let bytes = content(LENGTH);
        let blob = put(&store, &bytes).await.expect("the blob is stored");
        let mut chunks = bucket.subjects("C.>").await;
        chunks.sort();
        assert_eq!(chunks.len(), 6);
        for (n, chunk) in chunks.iter().enumerate() {
            let (good, headers) = stored(&bucket, chunk).await;
            let mut bad = good.to_vec();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            overwrite(&bucket, chunk, bad.into(), headers.clone()).await;
            let (got, ended) = read(&store, &blob, ReadRange::WHOLE).await;
            assert_eq!(ended, Err(BlobError::Damaged), "chunk {n}");
            assert!(bytes.starts_with(&got));
            overwrite(&bucket, chunk, good.slice(1..), headers.clone()).await;
            assert_eq!(read(&store, &blob, ReadRange::WHOLE).await.1, Err(BlobError::Damaged), "cut");
            overwrite(&bucket, chunk, good, headers).await;
        }
        assert_eq!(read(&store, &blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
        // A whole chunk, in the place of another.
        let (other, headers) = stored(&bucket, &chunks[0]).await;
        overwrite(&bucket, &chunks[1], other, headers).await;
        let range = ReadRange { start: 131_072, end: 131_073 };
        assert_eq!(read(&store, &blob, range).await, (Vec::new(), Err(BlobError::Damaged)));
        let range = ReadRange { start: 0, end: 131_072 };
        assert_eq!(read(&store, &blob, range).await.1, Ok(()), "the others are as they were");
        assert!(store.health().damaged > 0);
        assert_eq!(again(&store, &bytes).await, Ok(Committed::Again));
        assert_eq!(read(&store, &blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_asks_for_its_chunks_only() {
    everywhere(async |servers| {
        let bucket = Bucket::new(&servers, "ranges");
        let store = bucket.open(0).await;
        let bytes = content(LENGTH);
        let blob = put(&store, &bytes).await.expect("the blob is stored");
        // Without all others, a range within one chunk is read as before.
        let context = servers.connect(0).await;
        let stream = context.get_stream(bucket.stream()).await.expect("the stream");
        for chunk in bucket.subjects("C.>").await {
            if !chunk.ends_with(".2") {
                let filter = format!("$O.{}.{chunk}", bucket.options.bucket);
                stream.purge().filter(filter).await.expect("a chunk is removed");
            }
        }
        let range = ReadRange { start: 262_144, end: 393_216 };
        assert_eq!(read(&store, &blob, range).await, (bytes[262_144..393_216].to_vec(), Ok(())));
        assert_eq!(read(&store, &blob, ReadRange::WHOLE).await, (Vec::new(), Err(BlobError::Damaged)));
        store.close().await;
    })
    .await;
}
