//! Flipped bytes and cut files at rest: noticed, never served.

use std::fs;

use blobstore::{BlobError, BlobStore as _, ReadRange};

use crate::support::{content, file, open, put, read, staged};

const LENGTH: usize = 400_000;

#[tokio::test]
async fn a_flipped_byte_is_never_served() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let good = content(LENGTH);
    let blob = put(&store, &good).await.expect("the blob is stored");
    let path = file(directory.path(), &blob);
    let whole = fs::read(&path).expect("the file");
    let mut found = 0;
    // Every part of the file: header, blocks, checksums, in steps that meet none of their sizes.
    for place in (0..64).chain((64..whole.len()).step_by(4_999)).chain([65_599, 65_600, 65_615, 65_616]) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        fs::write(&path, &bytes).expect("the file is damaged");
        let (got, ended) = read(&store, &blob, ReadRange::WHOLE).await;
        assert_eq!(ended, Err(BlobError::Damaged), "byte {place}");
        assert!(good.starts_with(&got), "byte {place}: what was handed out is right");
        found += 1;
        assert_eq!(store.health().damaged, found, "it is counted");

        for (start, end) in [(0, 10), (65_530, 65_540), (200_000, 300_000), (399_999, 400_000)] {
            let (got, ended) = read(&store, &blob, ReadRange { start, end }).await;
            let right = &good[usize::try_from(start).expect("small")..usize::try_from(end).expect("small")];
            match ended {
                Ok(()) => assert!(got == right, "byte {place}, range {start}..{end}"),
                Err(error) => {
                    assert_eq!(error, BlobError::Damaged);
                    assert!(right.starts_with(&got));
                    found += 1;
                }
            }
        }
    }
    assert_eq!(put(&store, &good).await, Ok(blob.clone()), "storing it again repairs it");
    assert_eq!(read(&store, &blob, ReadRange::WHOLE).await, (good.to_vec(), Ok(())));
    store.close().await;
    assert_eq!(staged(directory.path()), 0);
}

#[tokio::test]
async fn a_file_of_another_length_is_damaged() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let blob = put(&store, &content(LENGTH)).await.expect("the blob is stored");
    let path = file(directory.path(), &blob);
    let whole = fs::read(&path).expect("the file");
    for length in [0, 1, 63, 64, 65_000, whole.len() - 1] {
        fs::write(&path, &whole[..length]).expect("the file is cut");
        assert_eq!(store.stat(&blob).await, Err(BlobError::Damaged), "{length} bytes");
        assert_eq!(read(&store, &blob, ReadRange { start: 0, end: 1 }).await.1, Err(BlobError::Damaged));
    }
    fs::write(&path, [whole.as_slice(), b"x"].concat()).expect("the file grows");
    assert_eq!(store.stat(&blob).await, Err(BlobError::Damaged));
    store.close().await;
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_damaged() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let one = put(&store, &content(LENGTH)).await.expect("a blob is stored");
    let other = put(&store, &content(LENGTH + 1)).await.expect("a blob is stored");
    fs::copy(file(directory.path(), &one), file(directory.path(), &other)).expect("a copy");
    assert_eq!(read(&store, &other, ReadRange::WHOLE).await, (Vec::new(), Err(BlobError::Damaged)));
    // Blocks that are whole and of another file.
    let mut mixed = fs::read(file(directory.path(), &one)).expect("the file");
    let donor = {
        let third = put(&store, &content(LENGTH).slice(7..)).await.expect("a blob is stored");
        fs::read(file(directory.path(), &third)).expect("the file")
    };
    mixed[64..65_616].copy_from_slice(&donor[64..65_616]);
    fs::write(file(directory.path(), &one), mixed).expect("the file is damaged");
    let range = ReadRange { start: 5, end: 6 };
    assert_eq!(read(&store, &one, range).await, (Vec::new(), Err(BlobError::Damaged)));
    store.close().await;
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_read_does_not_end_cleanly() {
    let directory = crate::support::directory();
    let store = open(directory.path()).await;
    let good = content(3_000_000);
    let blob = put(&store, &good).await.expect("the blob is stored");
    let mut download = store.read(&blob, ReadRange::WHOLE).await.expect("a download");
    let mut got = download.next().await.expect("the first part").expect("there is one").to_vec();
    fs::OpenOptions::new()
        .write(true)
        .open(file(directory.path(), &blob))
        .and_then(|file| file.set_len(2_000_000))
        .expect("the file is cut");
    let ended = loop {
        match download.next().await {
            Ok(Some(part)) => got.extend_from_slice(&part),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(ended, Err(BlobError::Damaged));
    assert!(good.starts_with(&got));
    assert_eq!(download.next().await, Ok(None), "after an error there is nothing more");
    store.close().await;
}
