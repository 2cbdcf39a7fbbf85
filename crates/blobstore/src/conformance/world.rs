//! Contents, and a store to keep them in.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Backend;
use crate::{BlobError, BlobId, BlobStore, Committed, Digest, Expected, ReadRange, Space};

/// A backend, and the store of it that is open.
pub(super) struct World {
    backend: Box<dyn Backend>,
    pub(super) store: Arc<dyn BlobStore>,
}

impl World {
    pub(super) async fn new(backend: Box<dyn Backend>) -> Self {
        let store = backend.open().await;
        Self { backend, store }
    }

    pub(super) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.backend.open().await;
    }

    /// Closes the store, which waits for what it has under way, and looks at what is left of uploads.
    pub(super) async fn check_nothing_leaks(&self) {
        self.store.close().await;
        assert_eq!(self.backend.staged().await, 0, "something is left of an upload");
    }

    /// Stores content in parts of `part` bytes.
    pub(super) async fn put_in_parts(
        &self,
        blob: &BlobId,
        content: &Bytes,
        part: usize,
    ) -> Result<Committed, BlobError> {
        let mut upload = self.store.begin(blob, Expected { length: content.len() as u64 }).await?;
        let mut rest = content.clone();
        while !rest.is_empty() {
            upload.write(rest.split_to(part.min(rest.len()))).await?;
        }
        upload.commit().await
    }

    /// Stores content under its digest.
    pub(super) async fn put(&self, space: &Space, content: &Bytes) -> BlobId {
        let blob = space.blob(Digest::of(content));
        self.put_in_parts(&blob, content, 30_000).await.expect("the blob is stored");
        blob
    }

    pub(super) async fn read(&self, blob: &BlobId, range: ReadRange) -> Result<Bytes, BlobError> {
        let mut download = self.store.read(blob, range).await?;
        let mut content = BytesMut::new();
        while let Some(part) = download.next().await? {
            assert!(!part.is_empty(), "a part has bytes");
            content.extend_from_slice(&part);
        }
        Ok(content.freeze())
    }

    pub(super) async fn all(&self) -> Vec<BlobId> {
        let found = self.store.list(None, usize::MAX).await.expect("blobs are listed");
        found.into_iter().map(|found| found.blob).collect()
    }
}

pub(super) fn space(name: &str) -> Space {
    name.parse().expect("a space")
}

/// Bytes without a period that fits into blocks.
pub(super) fn content(length: usize) -> Bytes {
    (0..length).map(|n| u8::try_from((n ^ (n >> 8).wrapping_mul(31)) % 251).unwrap_or(0)).collect()
}
