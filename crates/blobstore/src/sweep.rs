//! Removing what nobody wants any more: blobs without a reference, and what uploads left behind.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::{BlobError, BlobId, BlobStore};

/// Blobs looked at in one go.
const PAGE: usize = 256;

/// Whoever counts the references to blobs.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// Removes the blob from the store if nothing refers to it, and says whether it did.
    ///
    /// An upload of the same content may end at this moment, and its reference follow. [`BlobStore::remove_older`] keeps
    /// what was committed within `grace`.
    async fn remove_unreferenced(&self, blob: &BlobId, grace: Duration) -> Result<bool, BlobError>;
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs that nothing referred to.
    pub orphans: usize,
    /// Leftovers of uploads.
    pub staged: usize,
}

/// Goes through all blobs and removes those that were committed longer than `grace` ago and that nothing refers to, and
/// uploads that have not moved for as long.
///
/// The time of grace covers uploads whose reference is being written.
pub async fn sweep(store: &dyn BlobStore, keeper: &dyn Keeper, grace: Duration) -> Result<Swept, BlobError> {
    let mut swept = Swept { orphans: 0, staged: store.sweep_staged(grace).await? };
    let mut after: Option<BlobId> = None;
    loop {
        let page = store.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(swept) };
        after = Some(last.blob.clone());
        for found in page.iter().filter(|found| is_older(found.stored, grace)) {
            swept.orphans += usize::from(keeper.remove_unreferenced(&found.blob, grace).await?);
        }
    }
}

/// Whether something was stored at least so long ago. A time in the future (a clock that was set back) counts as young;
/// anything is older than no time at all.
pub(crate) fn is_older(stored: SystemTime, age: Duration) -> bool {
    age.is_zero() || SystemTime::now().duration_since(stored).is_ok_and(|passed| passed >= age)
}
