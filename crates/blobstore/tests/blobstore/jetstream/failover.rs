//! The server that leads the bucket is killed in the middle of uploads and downloads.

use blobstore::{BlobError, BlobStore as _, Digest, Expected, ReadRange};
use futures_util::future::join_all;
use nats_testkit::PATIENCE;
use tokio::time::timeout;

use super::world::{Bucket, nats};
use crate::support::{content, put, read, space};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_and_downloads_go_on_or_fail_whole_when_the_leader_is_killed() {
    let Some(servers) = nats(3).await else { return };
    let bucket = Bucket::new(&servers, "failover");
    let first = bucket.open(0).await;
    let kept = put(&first, &content(3_000_000)).await.expect("a blob is stored");
    let context = servers.connect(0).await;
    let leader = servers.cluster().leader_of(&context, &bucket.stream()).await;
    let stores = join_all((0..3).map(|node| bucket.open(node))).await;
    // In the middle of one upload and one download through each node.
    let mut uploads = Vec::new();
    let mut downloads = Vec::new();
    for (n, store) in stores.iter().enumerate() {
        let bytes = content(2_000_000 + n);
        let blob = space().blob(Digest::of(&bytes));
        let mut upload =
            store.begin(&blob, Expected { length: bytes.len() as u64 }).await.expect("it begins");
        upload.write(bytes.slice(..1_000_000)).await.expect("bytes are taken");
        uploads.push((upload, blob, bytes));
        let mut download = store.read(&kept, ReadRange::WHOLE).await.expect("a download");
        let part = download.next().await.expect("a part").expect("there is one").to_vec();
        downloads.push((download, part));
    }
    let upload = |(mut upload, blob, bytes): (Box<dyn blobstore::Upload>, _, bytes::Bytes)| async move {
        let written = upload.write(bytes.slice(1_000_000..)).await;
        let outcome = match written {
            Ok(()) => upload.commit().await.map(drop),
            Err(error) => Err(error),
        };
        (outcome, blob, bytes)
    };
    let download = |(mut download, mut got): (Box<dyn blobstore::Download>, Vec<u8>)| async move {
        loop {
            match download.next().await {
                Ok(Some(part)) => got.extend_from_slice(&part),
                Ok(None) => return (got, Ok(())),
                Err(error) => return (got, Err(error)),
            }
        }
    };
    let everything = async {
        tokio::join!(
            servers.cluster().kill(leader),
            join_all(uploads.into_iter().map(upload)),
            join_all(downloads.into_iter().map(download)),
        )
    };
    let ((), uploaded, downloaded) = timeout(PATIENCE * 2, everything).await.expect("nothing hangs");
    servers.cluster().spawn(leader);
    for (got, ended) in downloaded {
        match ended {
            Ok(()) => assert_eq!(got, content(3_000_000)),
            Err(error) => assert_eq!(error, BlobError::Unavailable),
        }
    }
    let last = bucket.open(leader).await;
    for (outcome, blob, bytes) in uploaded {
        for store in stores.iter().chain([&first, &last]) {
            let (got, ended) = read(store, &blob, ReadRange::WHOLE).await;
            match (outcome, ended) {
                (Ok(()) | Err(BlobError::Unavailable), Ok(())) => assert_eq!(got, bytes),
                (Err(BlobError::Unavailable), Err(error)) => {
                    assert_eq!((got.len(), error), (0, BlobError::NotFound));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(read(&last, &kept, ReadRange::WHOLE).await, (content(3_000_000).to_vec(), Ok(())));
    for store in stores.iter().chain([&first, &last]) {
        store.close().await;
    }
}
