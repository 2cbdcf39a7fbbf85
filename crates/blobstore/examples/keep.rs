//! Stores a file as it streams in, reads a part of it back, and removes what nobody refers to.
//!
//! `cargo run -p blobstore --example keep`

use std::time::Duration;

use async_trait::async_trait;
use blobstore::{
    BlobError, BlobId, BlobStore, Digest, Expected, FsOptions, FsStore, Keeper, ReadRange, Space, sweep,
};
use bytes::Bytes;

/// Nothing is referred to any more.
struct Nothing<'a>(&'a FsStore);

#[async_trait]
impl Keeper for Nothing<'_> {
    async fn remove_unreferenced(&self, blob: &BlobId, grace: Duration) -> Result<bool, BlobError> {
        self.0.remove_older(blob, grace).await
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
async fn main() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let store = FsStore::open(directory.path().join("blobs"), FsOptions::default()).await?;
    let letters: Space = "letters".parse()?;

    // The digest and the length are known before the first byte comes: whoever sends it has promised them.
    let content = Bytes::from_static(b"Dear reader, this is a letter.");
    let blob = letters.blob(Digest::of(&content));
    let mut upload = store.begin(&blob, Expected { length: content.len() as u64 }).await?;
    for part in content.chunks(7) {
        upload.write(Bytes::copy_from_slice(part)).await?;
    }
    println!("{:?}: {blob}", upload.commit().await?);

    let mut download = store.read(&blob, ReadRange { start: 5, end: 11 }).await?;
    while let Some(part) = download.next().await? {
        println!("bytes 5 to 11: {}", String::from_utf8_lossy(&part));
    }

    let swept = sweep(&store, &Nothing(&store), Duration::ZERO).await?;
    println!("swept {} blob", swept.orphans);
    store.close().await;
    Ok(())
}
