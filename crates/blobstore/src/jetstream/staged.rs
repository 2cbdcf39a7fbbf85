//! Removes the copies that are no blobs: what uploads left behind that were killed or cut off.
//!
//! An upload that is still there, on a machine that stood still, learns of it: `upload/publish.rs` says how.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::bucket::Bucket;
use super::layout::CopyId;
use super::{AT_ONCE, Shared};
use crate::{BlobError, BlobId};

/// Goes through the notes; answers how many copies were removed.
pub(super) async fn sweep(shared: &Shared, age: Duration) -> Result<usize, BlobError> {
    // What moved since then may be committed yet: an upload gives itself up first, and its last message arrives within
    // the time that it waits for an answer, twice that by clocks that differ a little.
    let age = age.max(shared.options.upload_idle + shared.options.patience * 2);
    let copies = shared.bucket.noted_copies().await?;
    stream::iter(copies)
        .map(|copy| sweep_copy(shared, copy, age))
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |removed, is_removed| std::future::ready(Ok(removed + usize::from(is_removed))))
        .await
}

async fn sweep_copy(shared: &Shared, copy: CopyId, age: Duration) -> Result<bool, BlobError> {
    let bucket = &shared.bucket;
    let Some(note) = bucket.noted(copy).await? else { return Ok(false) };
    let moved = bucket.moved(copy).await?.map_or(note.stored, |moved| moved.max(note.stored));
    // A time in the future (a clock that was set back) counts as young.
    if SystemTime::now().duration_since(moved).map_or(true, |passed| passed < age) {
        return Ok(false);
    }
    let Some(blob) = &note.blob else {
        // Nobody of us wrote it.
        bucket.discard(copy).await;
        return Ok(true);
    };
    if is_blob(bucket, blob, copy).await? {
        bucket.forget_note(copy).await;
        return Ok(false);
    }
    let claimed = claim(bucket, blob, copy).await?;
    // Whoever published it before that is seen here; whoever publishes it later sees that.
    if is_blob(bucket, blob, copy).await? {
        bucket.forget_note(copy).await;
        return Ok(false);
    }
    match claimed {
        Claimed::Noted => bucket.discard(copy).await,
        Claimed::Unnoted => remove_unnoted(bucket, blob, copy).await?,
    }
    Ok(true)
}

/// Whether the copy is a blob.
async fn is_blob(bucket: &Bucket, blob: &BlobId, copy: CopyId) -> Result<bool, BlobError> {
    let object = bucket.object(blob).await?;
    Ok(object.is_some_and(|object| matches!(object.copy, Some(Ok(now)) if now.id == copy)))
}

/// How a copy was taken from its upload, which finds its own note no more.
enum Claimed {
    /// There is another note in its place.
    Noted,
    /// There is none.
    Unnoted,
}

async fn claim(bucket: &Bucket, blob: &BlobId, copy: CopyId) -> Result<Claimed, BlobError> {
    match bucket.note(copy, blob).await {
        Ok(_) => Ok(Claimed::Noted),
        // Whoever makes room must not need any.
        Err(BlobError::Full) => {
            bucket.forget_note(copy).await;
            match bucket.noted(copy).await? {
                None => Ok(Claimed::Unnoted),
                Some(_) => Err(BlobError::Unavailable),
            }
        }
        Err(error) => Err(error),
    }
}

/// Removes the chunks of a copy without a note. While they are there it gets one: the old one has left room for it.
async fn remove_unnoted(bucket: &Bucket, blob: &BlobId, copy: CopyId) -> Result<(), BlobError> {
    if bucket.remove_chunks(copy).await {
        return Ok(());
    }
    bucket.note(copy, blob).await?;
    Err(BlobError::Unavailable)
}
