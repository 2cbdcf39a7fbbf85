//! Content-addressed files: what was stored under a digest is read back, or an error is.
//!
//! A [`BlobStore`] keeps *blobs*, each in a [`Space`] and named by the [`Digest`] (SHA-256) of its bytes. Spaces know
//! nothing of each other: the same content in two of them is stored twice, and deleted with its space. [`FsStore`] keeps
//! them in a directory of one machine, [`JetStreamStore`] in a replicated bucket that all nodes of a cluster share and that
//! other NATS clients read as an object store; [`conformance`] proves the promises of the trait against any backend.
//!
//! Data flows in blocks: an [`Upload`] is staged out of sight, hashed while it is written, and appears under its digest
//! by one step (a rename, or one message) once it is whole, genuine and durable. A [`Download`] checks every block before it hands it out.
//! Neither holds more than a few blocks in memory, whatever a blob's size.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use blobstore::{BlobStore as _, Digest, Expected, FsOptions, FsStore, ReadRange};
//!
//! let store = FsStore::open(directory.path().join("blobs"), FsOptions::default()).await?;
//! let blob = "letters".parse::<blobstore::Space>()?.blob(Digest::of(b"hello"));
//!
//! let mut upload = store.begin(&blob, Expected { length: 5 }).await?;
//! upload.write("hello".into()).await?;
//! upload.commit().await?;
//!
//! let mut download = store.read(&blob, ReadRange { start: 1, end: 3 }).await?;
//! assert_eq!(download.next().await?.as_deref(), Some(&b"el"[..]));
//! assert_eq!(download.next().await?, None);
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//! - A blob is visible whole or not at all, also after a crash, and what was committed is on the disk.
//! - No wrong byte is handed out: every block is checked before it leaves, and a read of a whole blob ends cleanly only
//!   when its digest matched.
//! - What an upload that did not end well has written is removed: at once, at the next start, or by a sweep once it is old.
//! - File I/O and hashing run in a bounded number of blocking jobs, all of them joined by [`BlobStore::close`].
//!
//! Who may read what, and which blobs are still wanted, is for the caller to know: [`sweep()`] asks.

mod block_sum;
mod copy;
mod digest;
mod error;
mod fs;
mod jetstream;
mod jobs;
mod limits;
mod space;
mod store;
mod sweep;

pub mod conformance;

pub use copy::{Copied, CopyError, copied_before, copy_all};
pub use digest::{Digest, DigestError};
pub use error::BlobError;
pub use fs::{FsOptions, FsStore, OpenError};
pub use jetstream::{JetStreamOpenError, JetStreamOptions, JetStreamStore};
pub use limits::FsLimits;
pub use space::{BlobId, Space, SpaceError};
pub use store::{BlobInfo, BlobStore, Committed, Download, Expected, Found, Health, ReadRange, Upload};
pub use sweep::{Keeper, Swept, sweep};
