//! Rules of uploads that do not go well, and of uploads that meet.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;

use super::world::{World, content, space};
use crate::{BlobError, Committed, Digest, Expected, ReadRange};

pub(super) async fn a_wrong_digest_stores_nothing(world: &mut World) {
    for length in [0, 10, 70_000, 600_000] {
        let blob = space("one").blob(Digest::of(b"something else"));
        let refused = world.put_in_parts(&blob, &content(length), 10_000).await;
        assert_eq!(refused, Err(BlobError::DigestMismatch));
        assert_eq!(world.store.stat(&blob).await, Err(BlobError::NotFound));
    }
    assert!(world.all().await.is_empty());
}

pub(super) async fn a_wrong_length_stores_nothing(world: &mut World) {
    let content = content(100_000);
    let blob = space("one").blob(Digest::of(&content));
    for announced in [0, 1, 99_999, 100_001, 1_000_000] {
        let mut upload = world.store.begin(&blob, Expected { length: announced }).await.expect("it begins");
        let refused = match upload.write(content.clone()).await {
            Ok(()) => upload.commit().await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(refused, Err(BlobError::LengthMismatch), "announced as {announced}");
    }
    assert!(world.all().await.is_empty());
}

pub(super) async fn an_upload_that_breaks_off_leaves_nothing(world: &mut World) {
    let content = content(700_000);
    let blob = space("one").blob(Digest::of(&content));
    for cut in [0, 1, 65_536, 262_144, 262_145, 524_288, 699_999, 700_000] {
        let mut upload = world.store.begin(&blob, Expected { length: 700_000 }).await.expect("it begins");
        upload.write(content.slice(..cut)).await.expect("bytes are taken");
        drop(upload);
        assert_eq!(world.store.stat(&blob).await, Err(BlobError::NotFound), "cut at {cut}");
    }
    assert!(world.all().await.is_empty());
    world.check_nothing_leaks().await;
    world.reopen().await;
    assert!(world.all().await.is_empty());
}

pub(super) async fn an_upload_is_not_visible_before_it_is_committed(world: &mut World) {
    let content = content(300_000);
    let blob = space("one").blob(Digest::of(&content));
    let mut upload = world.store.begin(&blob, Expected { length: 300_000 }).await.expect("it begins");
    upload.write(content.clone()).await.expect("bytes are taken");
    assert_eq!(world.store.stat(&blob).await, Err(BlobError::NotFound));
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Err(BlobError::NotFound));
    assert!(world.all().await.is_empty());
    assert_eq!(upload.commit().await, Ok(Committed::New));
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Ok(content));
}

pub(super) async fn many_uploads_of_one_blob_at_once_store_it_once(world: &mut World) {
    let content = content(400_000);
    let blob = space("one").blob(Digest::of(&content));
    let uploads = (0..8_usize).map(|n| world.put_in_parts(&blob, &content, 1_000 + n * 50_000));
    for outcome in join_all(uploads).await {
        outcome.expect("every one of them ends well");
    }
    assert_eq!(world.put_in_parts(&blob, &content, 100_000).await, Ok(Committed::Again));
    assert_eq!(world.all().await.as_slice(), std::slice::from_ref(&blob));
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Ok(content));
}

/// Uploads whose future is dropped in the middle, each a little later than the one before.
pub(super) async fn an_abandoned_write_leaves_nothing(world: &mut World) {
    let content = content(1_000_000);
    let blob = space("one").blob(Digest::of(&content));
    let mut finished = 0;
    for polls in 0..60 {
        let mut upload = pin!(world.put_in_parts(&blob, &content, 100_000));
        for _ in 0..polls {
            let outcome = poll_fn(|context| Poll::Ready(upload.as_mut().poll(context))).await;
            if outcome.is_ready() {
                finished += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // A commit that was abandoned in the middle may still happen, but then as a whole.
    match world.read(&blob, ReadRange::WHOLE).await {
        Ok(stored) => assert_eq!(stored, content),
        Err(error) => assert_eq!((error, finished), (BlobError::NotFound, 0)),
    }
}
