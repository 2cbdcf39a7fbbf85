//! A bucket without room, and servers that are not there.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_nats::jetstream;
use blobstore::{BlobError, BlobStore as _, Digest, Expected, JetStreamOpenError, JetStreamStore, ReadRange};
use nats_testkit::{Proxy, Servers, connect};

use super::world::{Bucket, embedded, nats};
use crate::support::{content, put, read, space};

async fn what_does_not_fit_is_refused(servers: std::sync::Arc<Servers>) {
    let mut bucket = Bucket::new(&servers, "small");
    bucket.options.max_bytes = Some(3_000_000);
    let store = bucket.open(0).await;
    let kept = put(&store, &content(1_000_000)).await.expect("it fits");
    let large = content(2_500_000);
    let blob = space().blob(Digest::of(&large));
    assert_eq!(put(&store, &large).await, Err(BlobError::Full));
    assert!(store.health().full);
    assert_eq!(store.begin(&blob, Expected { length: u64::MAX }).await.map(drop), Err(BlobError::Full));
    // Room that is taken while an upload is under way.
    let fits = content(1_500_000);
    let blob = space().blob(Digest::of(&fits));
    let mut upload = store.begin(&blob, Expected { length: 1_500_000 }).await.expect("it fits so far");
    let other = bucket.open(0).await;
    let rival = put(&other, &content(1_400_000)).await.expect("it fits");
    let outcome = match upload.write(fits.clone()).await {
        Ok(()) => upload.commit().await.map(drop),
        Err(error) => {
            drop(upload);
            Err(error)
        }
    };
    assert_eq!(outcome, Err(BlobError::Full));
    assert_eq!(store.stat(&blob).await, Err(BlobError::NotFound));
    assert_eq!(read(&store, &kept, ReadRange::WHOLE).await.1, Ok(()), "reads go on");
    assert_eq!(store.remove(&rival).await, Ok(true), "room can be made without any");
    store.close().await;
    other.close().await;
    assert_eq!(bucket.staged().await, 0);
    let store = bucket.open(0).await;
    put(&store, &fits).await.expect("with room it goes on");
    assert!(!store.health().full);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_in_the_embedded_broker() {
    what_does_not_fit_is_refused(embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_in_a_nats_server() {
    let Some(servers) = nats(1).await else { return };
    what_does_not_fit_is_refused(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_said_to_be_unavailable() {
    let servers = embedded().await;
    let proxy = Proxy::before(servers.addresses(0)[0]).await;
    let bucket = Bucket::new(&servers, "away").impatient();
    let store = bucket.open_with(jetstream::new(connect(&[proxy.address]).await)).await;
    let blob = put(&store, &content(300_000)).await.expect("the blob is stored");
    let mut download = store.read(&blob, ReadRange::WHOLE).await.expect("a download");
    let mut upload = store.begin(&blob, Expected { length: 300_000 }).await.expect("it begins");
    proxy.lose_answers();
    assert_eq!(store.stat(&blob).await, Err(BlobError::Unavailable));
    assert_eq!(download.next().await, Err(BlobError::Unavailable));
    let written = match upload.write(content(300_000)).await {
        Ok(()) => upload.commit().await.map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(written, Err(BlobError::Unavailable));
    assert_eq!(store.list(None, 1).await, Err(BlobError::Unavailable));
    proxy.pass();
    proxy.cut();
    let other = bucket.open(0).await;
    assert_eq!(read(&other, &blob, ReadRange::WHOLE).await, (content(300_000).to_vec(), Ok(())));
    other.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_another_is_not_used() {
    let servers = embedded().await;
    let context = servers.connect(0).await;
    let config = jetstream::object_store::Config { bucket: "theirs".to_owned(), ..Default::default() };
    context.create_object_store(config).await.expect("an object store");
    let theirs = Bucket::new(&servers, "theirs");
    let refused = JetStreamStore::open(context.clone(), theirs.options.clone()).await;
    assert!(matches!(refused, Err(JetStreamOpenError::Unfit { .. })), "{refused:?}");
    let mut options = theirs.options;
    options.bucket = "a.b".to_owned();
    let refused = JetStreamStore::open(context, options).await;
    assert!(matches!(refused, Err(JetStreamOpenError::BadName(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_make_small_chunks() {
    let servers = std::sync::Arc::new(Servers::embedded_with_max_payload(16 << 10).await);
    let bucket = Bucket::new(&servers, "chunks");
    let store = bucket.open(0).await;
    let bytes = content(100_000);
    let blob = put(&store, &bytes).await.expect("the blob is stored");
    assert_eq!(bucket.subjects("C.>").await.len(), 7);
    assert_eq!(read(&store, &blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
    store.close().await;
    let servers = Servers::embedded_with_max_payload(4 << 10).await;
    let options = blobstore::JetStreamOptions { patience: Duration::from_secs(5), ..Default::default() };
    let refused = JetStreamStore::open(servers.connect(0).await, options).await;
    assert!(matches!(refused, Err(JetStreamOpenError::SmallPayload(_))), "{refused:?}");
}

/// Goes on with it until it has waited so often, as a process that is killed then.
async fn killed_after<F: Future>(waits: usize, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), waits);
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Fills the bucket up to the last byte, past the store.
async fn fill(bucket: &Bucket) {
    let context = bucket.servers.connect(0).await;
    let subject = format!("$O.{}.U.filler", bucket.options.bucket);
    for (n, size) in [100_000, 10_000, 1_000, 100, 10, 0].into_iter().enumerate() {
        for m in 0_u32.. {
            let sent =
                context.publish(format!("{subject}-{n}-{m}"), vec![0; size].into()).await.expect("sent");
            if sent.await.is_err() {
                break;
            }
        }
    }
}

/// A full bucket has no room for a note of what is being removed: at no moment its chunks are forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_while_making_room_in_a_full_bucket_leaves_nothing_that_nobody_finds() {
    let servers = embedded().await;
    let mut is_done = false;
    for waits in 0.. {
        if is_done {
            break;
        }
        let mut bucket = Bucket::new(&servers, &format!("full-{waits}"));
        bucket.options.max_bytes = Some(600_000);
        let store = bucket.open(0).await;
        let blob = put(&store, &content(400_000)).await.expect("it fits");
        store.close().await;
        fill(&bucket).await;
        let store = bucket.open(0).await;
        is_done = killed_after(waits, store.remove(&blob)).await.is_some();
        store.close().await;
        let notes = bucket.subjects("U.>").await.into_iter().filter(|note| !note.starts_with("U.filler"));
        let is_known = !bucket.subjects("M.>").await.is_empty() || notes.count() > 0;
        let chunks = bucket.subjects("C.>").await.len();
        assert!(is_known || chunks == 0, "killed after {waits}: {chunks} chunks that nobody knows of");
        let store = bucket.open(0).await;
        store.remove(&blob).await.expect("it can be removed again");
        assert_eq!(store.stat(&blob).await, Err(BlobError::NotFound));
        store.close().await;
        bucket.delete().await;
    }
}
