//! Removes the copies that are no blobs: what uploads left behind that were killed or cut off.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::layout::CopyId;
use super::{AT_ONCE, Shared};
use crate::BlobError;

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
    let object = match &note.blob {
        Some(blob) => bucket.object(blob).await?,
        None => None,
    };
    let is_the_blob = object.is_some_and(|object| matches!(object.copy, Some(Ok(now)) if now.id == copy));
    if is_the_blob {
        bucket.forget_note(copy).await;
    } else {
        bucket.discard(copy).await;
    }
    Ok(!is_the_blob)
}
