//! Listing blobs in pages.
//!
//! The leader of the stream says which names there are, all of them at once. They are kept while somebody goes through
//! them page by page, so that a listing of many pages asks once.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::AT_ONCE;
use super::bucket::Bucket;
use crate::{BlobError, BlobId, Found};

/// After so long without the next page the names are forgotten.
const KEEP: Duration = Duration::from_mins(1);

/// The rest of a listing that somebody goes through.
#[derive(Debug, Default)]
pub(super) struct Listing(Arc<Mutex<Option<Rest>>>);

#[derive(Debug)]
struct Rest {
    /// The last blob of the page before.
    after: BlobId,
    names: VecDeque<BlobId>,
    /// Forgets them, unless the next page is asked for: aborted when this is dropped.
    _forgetting: JoinSet<()>,
}

impl Listing {
    /// At most `limit` blobs behind `after`.
    pub(super) async fn page(
        &self,
        bucket: &Bucket,
        after: Option<&BlobId>,
        limit: usize,
    ) -> Result<Vec<Found>, BlobError> {
        let kept = self.0.lock().await.take();
        let goes_on = |rest: &Rest| Some(&rest.after) == after;
        let mut names = if let Some(rest) = kept.filter(goes_on) {
            rest.names
        } else {
            let mut names = VecDeque::from(bucket.blobs().await?);
            names.drain(..names.partition_point(|name| Some(name) <= after));
            names
        };
        let mut page = Vec::new();
        // Names of what was removed since are skipped, and the page stays full.
        while page.len() < limit && !names.is_empty() {
            let some = names.drain(..names.len().min(limit - page.len())).collect::<Vec<_>>();
            let found: Vec<Option<Found>> =
                stream::iter(some).map(|blob| found(bucket, blob)).buffered(AT_ONCE).try_collect().await?;
            page.extend(found.into_iter().flatten());
        }
        if let Some(last) = page.last() {
            let mut forgetting = JoinSet::new();
            forgetting.spawn(forget(Arc::downgrade(&self.0)));
            let rest = Rest { after: last.blob.clone(), names, _forgetting: forgetting };
            *self.0.lock().await = Some(rest);
        }
        Ok(page)
    }
}

/// Whoever went through the names has given up.
async fn forget(kept: Weak<Mutex<Option<Rest>>>) {
    tokio::time::sleep(KEEP).await;
    if let Some(kept) = kept.upgrade() {
        kept.lock().await.take();
    }
}

async fn found(bucket: &Bucket, blob: BlobId) -> Result<Option<Found>, BlobError> {
    let object = bucket.object(&blob).await?.filter(|object| object.copy.is_some());
    Ok(object.map(|object| Found { blob, stored: object.stored }))
}
