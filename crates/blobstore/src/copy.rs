//! Copying all blobs from one store into another.

use crate::{BlobError, BlobId, BlobStore, Expected, ReadRange};

/// Blobs looked at in one go.
const PAGE: usize = 256;

/// How far a copy has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Blobs that were written by this run.
    pub written: u64,
    /// Blobs that were there before.
    pub already: u64,
    /// Bytes of blobs that are there.
    pub bytes: u64,
}

/// Why not all blobs were copied. Those that were are whole, and the next run goes on behind them.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(BlobError),
    /// A blob of the source cannot be read.
    #[error("file {blob} cannot be read from the source: {error}")]
    SourceBlob {
        /// The blob.
        blob: BlobId,
        /// Why.
        error: BlobError,
    },
    /// The target does not take a blob.
    #[error("file {blob} cannot be written to the target: {error}; run this again, it goes on from here")]
    Target {
        /// The blob.
        blob: BlobId,
        /// Why.
        error: BlobError,
    },
}

/// Copies every blob that the target does not have, in constant memory. Every block is checked where it is read, and
/// every blob's digest before it can be seen in the target. Tells how far it is after every blob.
pub async fn copy_all(
    source: &dyn BlobStore,
    target: &dyn BlobStore,
    mut progress: impl FnMut(Copied) + Send,
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let mut after: Option<BlobId> = None;
    loop {
        let page = source.list(after.as_ref(), PAGE).await.map_err(CopyError::Source)?;
        let Some(last) = page.last() else { return Ok(copied) };
        after = Some(last.blob.clone());
        for found in page {
            let (length, is_new) = copy(source, target, &found.blob).await?;
            copied.bytes += length;
            *(if is_new { &mut copied.written } else { &mut copied.already }) += 1;
            progress(copied);
        }
    }
}

/// Whether the target has every blob of the source already, by the look that [`copy_all`] takes at those that are there;
/// `None` where one is missing. Writes nothing.
pub async fn copied_before(
    source: &dyn BlobStore,
    target: &dyn BlobStore,
) -> Result<Option<Copied>, CopyError> {
    let mut copied = Copied::default();
    let mut after: Option<BlobId> = None;
    loop {
        let page = source.list(after.as_ref(), PAGE).await.map_err(CopyError::Source)?;
        let Some(last) = page.last() else { return Ok(Some(copied)) };
        after = Some(last.blob.clone());
        for found in page {
            let length = length(source, &found.blob).await?;
            if !is_there(target, &found.blob, length).await? {
                return Ok(None);
            }
            copied.bytes += length;
            copied.already += 1;
        }
    }
}

async fn length(source: &dyn BlobStore, blob: &BlobId) -> Result<u64, CopyError> {
    let unread = |error| CopyError::SourceBlob { blob: blob.clone(), error };
    Ok(source.stat(blob).await.map_err(unread)?.length)
}

async fn is_there(target: &dyn BlobStore, blob: &BlobId, length: u64) -> Result<bool, CopyError> {
    match target.stat(blob).await {
        Ok(there) => Ok(there.length == length),
        // What is damaged there is repaired by being stored again.
        Err(BlobError::NotFound | BlobError::Damaged) => Ok(false),
        Err(error) => Err(CopyError::Target { blob: blob.clone(), error }),
    }
}

/// Copies one blob; answers its length, and whether it was not there.
async fn copy(
    source: &dyn BlobStore,
    target: &dyn BlobStore,
    blob: &BlobId,
) -> Result<(u64, bool), CopyError> {
    let unread = |error| CopyError::SourceBlob { blob: blob.clone(), error };
    let unwritten = |error| CopyError::Target { blob: blob.clone(), error };
    let length = length(source, blob).await?;
    if is_there(target, blob, length).await? {
        return Ok((length, false));
    }
    let mut download = source.read(blob, ReadRange::WHOLE).await.map_err(unread)?;
    let mut upload = target.begin(blob, Expected { length }).await.map_err(unwritten)?;
    while let Some(part) = download.next().await.map_err(unread)? {
        upload.write(part).await.map_err(unwritten)?;
    }
    upload.commit().await.map_err(unwritten)?;
    Ok((length, true))
}
