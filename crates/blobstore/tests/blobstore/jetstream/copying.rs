//! Blobs move from a directory into a bucket, and go on moving when they were cut off.

use blobstore::{BlobStore as _, CopyError, ReadRange, copy_all};

use super::world::{Bucket, embedded};
use crate::support::{content, directory, file, open, put, read};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_copied_into_a_bucket_from_wherever_it_was_cut_off() {
    let directory = directory();
    let source = open(directory.path()).await;
    let mut blobs = Vec::new();
    for length in [0, 1, 65_537, 131_072, 700_001, 1_000_000] {
        blobs.push((put(&source, &content(length)).await.expect("a blob is stored"), content(length)));
    }
    let servers = embedded().await;
    let bucket = Bucket::new(&servers, "copied");
    let target = bucket.open(0).await;
    // Dropped after each blob, and begun again.
    let mut rounds = 0;
    loop {
        let enough = tokio::sync::Notify::new();
        let copying = copy_all(&source, &target, |copied| {
            if copied.written > 0 {
                enough.notify_one();
            }
        });
        let ended = tokio::select! {
            biased;
            () = enough.notified() => None,
            done = copying => Some(done.expect("everything is copied")),
        };
        match ended {
            Some(copied) => {
                let bytes = blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
                assert_eq!((copied.written + copied.already, copied.bytes), (6, bytes));
                break;
            }
            None => rounds += 1,
        }
    }
    assert!(rounds > 2, "{rounds} rounds");
    for (blob, bytes) in &blobs {
        assert_eq!(read(&target, blob, ReadRange::WHOLE).await, (bytes.to_vec(), Ok(())));
    }
    // What is damaged in the source does not get into the target.
    let bad = put(&source, &content(300_000)).await.expect("a blob is stored");
    let path = file(directory.path(), &bad);
    let mut bytes = std::fs::read(&path).expect("the file");
    bytes[1_000] ^= 1;
    std::fs::write(&path, bytes).expect("the file is damaged");
    let refused = copy_all(&source, &target, |_| {}).await;
    assert!(matches!(refused, Err(CopyError::SourceBlob { ref blob, .. }) if *blob == bad), "{refused:?}");
    assert!(target.stat(&bad).await.is_err());
    target.close().await;
    source.close().await;
    assert_eq!(bucket.staged().await, 0);
}
