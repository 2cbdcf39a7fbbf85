//! A disk without room: refused whole, nothing left behind, and on again once there is room.
//!
//! The disk is a small tmpfs, which only root may mount. Elsewhere the test says that it was left out, except under
//! CI, where a test that is left out is a failure.

use std::fs;
use std::path::Path;

use blobstore::{BlobError, BlobStore as _, Digest, Expected, FsLimits, FsOptions, FsStore, ReadRange};
use tempfile::TempDir;

use crate::support::{content, open, put, read, space, staged};

const DISK: u64 = 4 << 20;

struct SmallDisk(TempDir);

#[expect(clippy::print_stderr, reason = "whoever reads the output of a test should see it")]
fn say(what: &str) {
    eprintln!("{what}");
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = crate::support::directory();
        let options = format!("size={DISK},mode=0700");
        let options = std::ffi::CString::new(options).expect("no zero byte");
        let flags = rustix::mount::MountFlags::empty();
        match rustix::mount::mount("tmpfs", directory.path(), "tmpfs", flags, options.as_c_str()) {
            Ok(()) => Some(Self(directory)),
            Err(error) => {
                let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!ci, "the small disk cannot be mounted: {error}");
                say(&format!("left out, a small disk cannot be mounted: {error}"));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH) {
            say(&format!("the small disk stays mounted: {error}"));
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_a_byte_is_taken() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = open(&disk.path().join("blobs")).await;
    let blob = space().blob(Digest::of(b"too large"));
    let refused = store.begin(&blob, Expected { length: 2 * DISK }).await.map(drop);
    assert_eq!(refused, Err(BlobError::Full));
    assert!(store.health().full);
    let refused = store.begin(&blob, Expected { length: u64::MAX }).await.map(drop);
    assert_eq!(refused, Err(BlobError::Full));
    // Two that fit one by one, and not together.
    let first = store.begin(&blob, Expected { length: DISK / 10 * 6 }).await.expect("it fits");
    assert_eq!(store.begin(&blob, Expected { length: DISK / 10 * 6 }).await.map(drop), Err(BlobError::Full));
    drop(first);
    put(&store, &content(1_000_000)).await.expect("what fits is stored");
    assert!(!store.health().full);
    store.close().await;
    assert_eq!(staged(&disk.path().join("blobs")), 0);
}

#[tokio::test]
async fn a_disk_that_fills_up_during_an_upload_leaves_nothing_half_written() {
    let Some(disk) = SmallDisk::mount() else { return };
    let directory = disk.path().join("blobs");
    let store = open(&directory).await;
    let kept = put(&store, &content(500_000)).await.expect("a blob is stored");
    let large = content(2_000_000);
    let blob = space().blob(Digest::of(&large));
    let filler = disk.path().join("filler");
    for taken in [0, 65_536, 300_000, 1_000_000, 1_999_999] {
        let mut upload = store.begin(&blob, Expected { length: 2_000_000 }).await.expect("it fits so far");
        upload.write(large.slice(..taken)).await.expect("bytes are taken");
        // Somebody else takes all the room.
        drop(fs::write(&filler, vec![1; usize::try_from(DISK).expect("small")]));
        let outcome = match upload.write(large.slice(taken..)).await {
            Ok(()) => upload.commit().await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(outcome, Err(BlobError::Full), "after {taken} bytes");
        assert_eq!(store.stat(&blob).await, Err(BlobError::NotFound));
        assert_eq!(
            read(&store, &kept, ReadRange::WHOLE).await,
            (content(500_000).to_vec(), Ok(())),
            "reads go on"
        );
        fs::remove_file(&filler).expect("room again");
    }
    assert_eq!(put(&store, &large).await, Ok(blob.clone()), "with room it goes on without a new start");
    assert_eq!(read(&store, &blob, ReadRange::WHOLE).await.1, Ok(()));
    store.close().await;
    assert_eq!(staged(&directory), 0);
}

#[tokio::test]
async fn some_room_is_left_to_others() {
    let Some(disk) = SmallDisk::mount() else { return };
    let limits = FsLimits { keep_free: 3 << 20, ..FsLimits::default() };
    let store =
        FsStore::open(disk.path().join("blobs"), FsOptions { limits }).await.expect("the store opens");
    assert_eq!(put(&store, &content(2 << 20)).await, Err(BlobError::Full));
    put(&store, &content(100_000)).await.expect("a little fits");
    store.close().await;
}
