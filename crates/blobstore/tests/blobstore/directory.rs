//! The directory itself: modes, lock, leftovers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use blobstore::{BlobStore as _, Digest, Expected, FsStore, OpenError, ReadRange};

use crate::support::{OPTIONS, content, file, open, put, read, space, staged};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[tokio::test]
async fn everything_is_the_owners_alone() {
    let directory = crate::support::directory();
    let path = directory.path().join("deep").join("blobs");
    let store = open(&path).await;
    let blob = put(&store, &content(10)).await.expect("the blob is stored");
    for part in ["", ".staged", "room"] {
        assert_eq!(mode(&path.join(part)), 0o700, "{part}");
    }
    assert_eq!(mode(&directory.path().join("deep")), 0o700);
    assert_eq!(mode(&file(&path, &blob)), 0o600);
    store.close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    let refused = FsStore::open(&path, OPTIONS).await;
    assert!(matches!(refused, Err(OpenError::OpenToOthers { mode: 0o755, .. })), "{refused:?}");
    assert_eq!(mode(&path), 0o755, "it is left as it is: the path may be a mistake");
}

#[tokio::test]
async fn a_directory_is_open_once() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let second = FsStore::open(directory.path().join("."), OPTIONS).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    store.close().await;
    open(directory.path()).await.close().await;
    let file = directory.path().join("file");
    fs::write(&file, b"x").expect("a file");
    let refused = FsStore::open(&file, OPTIONS).await;
    assert!(matches!(refused, Err(OpenError::Unusable { .. })), "{refused:?}");
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_removed_at_start_and_strange_files_are_left_alone() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let blob = put(&store, &content(10)).await.expect("the blob is stored");
    store.close().await;
    fs::write(directory.path().join(".staged").join("left"), b"half").expect("a leftover");
    fs::create_dir_all(directory.path().join(".staged").join("grave").join("aa")).expect("a leftover");
    fs::write(directory.path().join("notes.txt"), b"mine").expect("a strange file");
    fs::write(directory.path().join("room").join("aa.txt"), b"mine").expect("a strange file");
    let store = open(directory.path()).await;
    assert_eq!(staged(directory.path()), 0);
    let listed = store.list(None, 10).await.expect("blobs are listed");
    assert!(listed.iter().map(|found| &found.blob).eq([&blob]));
    assert_eq!(read(&store, &blob, ReadRange::WHOLE).await.1, Ok(()));
    store.close().await;
    assert!(directory.path().join("notes.txt").exists());
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing_at_once() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let blob = space().blob(Digest::of(content(1_000_000)));
    let mut upload = store.begin(&blob, Expected { length: 1_000_000 }).await.expect("it begins");
    upload.write(content(900_000)).await.expect("bytes are taken");
    assert_eq!(staged(directory.path()), 1);
    drop(upload);
    store.close().await;
    assert_eq!(staged(directory.path()), 0);
}

#[test]
fn an_upload_can_outlive_its_runtime() {
    let directory = crate::support::directory();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let upload = runtime.block_on(async {
        let store = open(directory.path()).await;
        let blob = space().blob(Digest::of(b"x"));
        store.begin(&blob, Expected { length: 1 }).await.expect("it begins")
    });
    drop(runtime);
    drop(upload);
    assert_eq!(staged(directory.path()), 0);
}
