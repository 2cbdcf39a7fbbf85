//! What uploads leave behind when they are cut off, and who removes it.

use std::time::Duration;

use async_nats::jetstream;
use blobstore::{BlobError, BlobStore as _, Digest, Expected, JetStreamStore, ReadRange};
use nats_testkit::{PATIENCE, Proxy, Servers, connect};

use super::world::{Bucket, embedded, nats};
use crate::support::{content, put, read, space};

/// Sweeps until so many leftovers were found. They have to be old first.
async fn sweep_until(store: &JetStreamStore, expected: usize) {
    let swept = async {
        let mut found = 0;
        while found < expected {
            found += store.sweep_staged(Duration::ZERO).await.expect("a sweep");
        }
        found
    };
    let found = tokio::time::timeout(PATIENCE, swept).await.expect("leftovers become old");
    assert_eq!(found, expected);
}

/// Sweeps until everything that is there belongs to a blob.
async fn sweep_everything(bucket: &Bucket, store: &JetStreamStore) {
    let swept = async {
        while bucket.staged().await > 0 {
            store.sweep_staged(Duration::ZERO).await.expect("a sweep");
        }
    };
    tokio::time::timeout(PATIENCE, swept).await.expect("everything that is left is swept");
}

async fn an_upload_that_is_cut_off_is_swept(servers: std::sync::Arc<Servers>) {
    let bucket = Bucket::new(&servers, "cut").impatient();
    let proxy = Proxy::before(servers.addresses(0)[0]).await;
    let dying = bucket.open_with(jetstream::new(connect(&[proxy.address]).await)).await;
    let bytes = content(1_000_000);
    let blob = space().blob(Digest::of(&bytes));
    let mut upload = dying.begin(&blob, Expected { length: 1_000_000 }).await.expect("it begins");
    upload.write(bytes.slice(..900_000)).await.expect("bytes are taken");
    let store = bucket.open(0).await;
    let kept = put(&store, &content(300_000)).await.expect("a blob is stored");
    assert!(bucket.staged().await >= 2, "chunks and a note are there");
    assert_eq!(store.stat(&blob).await, Err(BlobError::NotFound));
    // Whoever uploads is gone, and cannot clean up.
    proxy.lose_answers();
    drop(upload);
    sweep_until(&store, 1).await;
    assert_eq!(bucket.staged().await, 0);
    assert_eq!(store.sweep_staged(Duration::ZERO).await, Ok(0));
    assert_eq!(read(&store, &kept, ReadRange::WHOLE).await, (content(300_000).to_vec(), Ok(())));
    store.close().await;
    dying.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_off_is_swept_in_the_embedded_broker() {
    an_upload_that_is_cut_off_is_swept(embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_off_is_swept_in_a_nats_server() {
    let Some(servers) = nats(1).await else { return };
    an_upload_that_is_cut_off_is_swept(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_stood_still_cannot_be_committed() {
    let servers = embedded().await;
    let bucket = Bucket::new(&servers, "still").impatient();
    let store = bucket.open(0).await;
    let bytes = content(400_000);
    let blob = space().blob(Digest::of(&bytes));
    let mut upload = store.begin(&blob, Expected { length: 400_000 }).await.expect("it begins");
    upload.write(bytes).await.expect("bytes are taken");
    // Once a sweep takes it for a leftover, it must have given itself up.
    sweep_until(&store, 1).await;
    assert_eq!(upload.commit().await, Err(BlobError::Unavailable));
    assert_eq!(store.stat(&blob).await, Err(BlobError::NotFound));
    store.close().await;
    assert_eq!(bucket.staged().await, 0);
}

/// A machine that stands still does not know for how long. What another one took for a leftover meanwhile is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_swept_while_its_machine_stood_still_cannot_be_committed() {
    let servers = embedded().await;
    let paused = Bucket::new(&servers, "paused");
    let store = paused.open(0).await;
    let sweeping = Bucket::new(&servers, "paused").impatient().open(0).await;
    let bytes = content(400_000);
    let blob = space().blob(Digest::of(&bytes));
    for round in 0..2 {
        let mut upload = store.begin(&blob, Expected { length: 400_000 }).await.expect("it begins");
        upload.write(bytes.clone()).await.expect("bytes are taken");
        sweep_until(&sweeping, 1).await;
        assert_eq!(upload.commit().await, Err(BlobError::Unavailable));
        let (got, ended) = read(&store, &blob, ReadRange::WHOLE).await;
        if round == 0 {
            assert_eq!((got.len(), ended), (0, Err(BlobError::NotFound)));
            put(&sweeping, &bytes).await.expect("somebody else stores it");
        } else {
            assert_eq!((got, ended), (bytes.to_vec(), Ok(())), "what is there stays");
        }
    }
    store.close().await;
    // The commit had noted the copy that it was going to replace.
    sweep_everything(&paused, &sweeping).await;
    let (got, ended) = read(&sweeping, &blob, ReadRange::WHOLE).await;
    assert_eq!((got, ended), (bytes.to_vec(), Ok(())));
    sweeping.close().await;
}

/// The machine stands still at any moment of a commit: what is acknowledged is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_meets_a_sweep_happened_whole_or_not_at_all() {
    let servers = embedded().await;
    let bucket = Bucket::new(&servers, "meeting");
    let mut impatient = Bucket::new(&servers, "meeting").impatient();
    impatient.options.upload_idle = Duration::from_millis(50);
    impatient.options.patience = Duration::from_millis(100);
    let sweeping = impatient.open(0).await;
    let proxy = Proxy::before(servers.addresses(0)[0]).await;
    let store = bucket.open_with(jetstream::new(connect(&[proxy.address]).await)).await;
    for round in 0..10_usize {
        let bytes = content(300_000 + round);
        let blob = space().blob(Digest::of(&bytes));
        let mut upload =
            store.begin(&blob, Expected { length: bytes.len() as u64 }).await.expect("it begins");
        upload.write(bytes.clone()).await.expect("bytes are taken");
        let pause = Duration::from_micros(rand::random_range(0..4_000));
        let (committed, ()) = tokio::join!(upload.commit(), async {
            tokio::time::sleep(pause).await;
            proxy.hold_answers();
            sweep_everything(&bucket, &sweeping).await;
            proxy.pass();
        });
        let (got, ended) = read(&store, &blob, ReadRange::WHOLE).await;
        match (committed, ended) {
            (Ok(_) | Err(BlobError::Unavailable), Ok(())) => assert_eq!(got, bytes),
            (Err(BlobError::Unavailable), Err(error)) => {
                assert_eq!((got.len(), error), (0, BlobError::NotFound));
            }
            other => panic!("after {pause:?}: {other:?}"),
        }
    }
    store.close().await;
    sweeping.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_happened_whole_or_not_at_all() {
    let servers = embedded().await;
    let bucket = Bucket::new(&servers, "doubt").impatient();
    let store = bucket.open(0).await;
    let proxy = Proxy::before(servers.addresses(0)[0]).await;
    let mut kept = 0;
    for round in 0..12_usize {
        let dying = bucket.open_with(jetstream::new(connect(&[proxy.address]).await)).await;
        let bytes = content(300_000 + round);
        let blob = space().blob(Digest::of(&bytes));
        let mut upload =
            dying.begin(&blob, Expected { length: bytes.len() as u64 }).await.expect("it begins");
        upload.write(bytes.clone()).await.expect("bytes are taken");
        // The line is cut a little later each time: before, within and behind the message that counts.
        proxy.cut_after(i64::try_from(round).expect("a small number"));
        let committed = upload.commit().await;
        proxy.cut_after(-1);
        match read(&store, &blob, ReadRange::WHOLE).await {
            (got, Ok(())) => {
                assert_eq!(got, bytes);
                kept += 1;
            }
            (got, Err(error)) => {
                assert_eq!((got.len(), error), (0, BlobError::NotFound));
                assert_eq!(committed, Err(BlobError::Unavailable));
            }
        }
        dying.close().await;
    }
    sweep_everything(&bucket, &store).await;
    assert_eq!(store.list(None, 100).await.expect("a listing").len(), kept);
    store.close().await;
}
