//! A store in a temporary directory.

use std::path::{Path, PathBuf};

use blobstore::{
    BlobError, BlobId, BlobStore, Committed, Digest, Expected, FsLimits, FsOptions, FsStore, ReadRange, Space,
};
use bytes::Bytes;
use tempfile::TempDir;

/// Nothing is kept free, so that small disks can be used to the end.
pub(crate) const OPTIONS: FsOptions = FsOptions { limits: FsLimits { jobs: 4, keep_free: 0 } };

/// For its owner alone, as a store wants it.
pub(crate) fn directory() -> TempDir {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().expect("a temporary directory")
}

pub(crate) fn space() -> Space {
    "room".parse().expect("a space")
}

pub(crate) fn content(length: usize) -> Bytes {
    (0..length).map(|n| u8::try_from((n ^ (n >> 9)) % 253).expect("below 253")).collect()
}

pub(crate) async fn open(directory: &Path) -> FsStore {
    FsStore::open(directory, OPTIONS).await.expect("the store opens")
}

pub(crate) async fn put(store: &dyn BlobStore, content: &Bytes) -> Result<BlobId, BlobError> {
    let blob = space().blob(Digest::of(content));
    let mut upload = store.begin(&blob, Expected { length: content.len() as u64 }).await?;
    upload.write(content.clone()).await?;
    let _: Committed = upload.commit().await?;
    Ok(blob)
}

/// What a read hands out, and how it ends.
pub(crate) async fn read(
    store: &dyn BlobStore,
    blob: &BlobId,
    range: ReadRange,
) -> (Vec<u8>, Result<(), BlobError>) {
    let mut got = Vec::new();
    let mut download = match store.read(blob, range).await {
        Ok(download) => download,
        Err(error) => return (got, Err(error)),
    };
    loop {
        match download.next().await {
            Ok(Some(part)) => got.extend_from_slice(&part),
            Ok(None) => return (got, Ok(())),
            Err(error) => return (got, Err(error)),
        }
    }
}

/// The file of a blob.
pub(crate) fn file(directory: &Path, blob: &BlobId) -> PathBuf {
    let name = blob.digest.to_string();
    directory.join(blob.space.as_str()).join(&name[..2]).join(name)
}

/// How many files uploads have left.
pub(crate) fn staged(directory: &Path) -> usize {
    std::fs::read_dir(directory.join(".staged")).map_or(0, Iterator::count)
}
