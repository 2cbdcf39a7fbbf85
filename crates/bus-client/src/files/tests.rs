//! A file that changes while it is sent is noticed before the change leaves the process.

use std::fs;

use room_protocol::{EpochKey, RoomId};

use super::*;

fn cover() -> Arc<Cover> {
    let room: RoomId = "A".repeat(26).parse().unwrap();
    let header = ChunkedHeader::new(1, &mut rand::rng());
    let cipher = ChunkCipher::new(&EpochKey::generate(&mut rand::rng()), &room, &header);
    Arc::new(Cover::Sealed { header, cipher })
}

/// What a second reading sends, and how it ends.
fn send(prepared: &Prepared) -> (Vec<u8>, crate::error::Result<()>) {
    let (sender, mut parts) = tokio::sync::mpsc::channel(64);
    let ended = prepared.send(&sender, None);
    drop(sender);
    let mut sent = Vec::new();
    while let Ok(part) = parts.try_recv() {
        sent.extend_from_slice(&part);
    }
    (sent, ended)
}

#[test]
fn a_file_that_changed_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let content = vec![7; 200_000];
    fs::write(&path, &content).unwrap();
    let prepared = prepare(&path, cover(), u64::MAX, None).unwrap();
    let (whole, ended) = send(&prepared);
    ended.unwrap();
    assert_eq!(whole.len() as u64, prepared.length);
    assert_eq!(send(&prepared).0, whole, "an attempt is like the one before");

    for changed in [0, 65_536, 199_999] {
        let mut other = content.clone();
        other[changed] ^= 1;
        fs::write(&path, &other).unwrap();
        let (sent, ended) = send(&prepared);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::File, "byte {changed}");
        assert!(whole.starts_with(&sent), "nothing of the other content was sent");
        assert!(sent.len() < whole.len());
    }
    for other in [&content[1..], &[content.as_slice(), b"x"].concat()] {
        fs::write(&path, other).unwrap();
        assert_eq!(send(&prepared).1.unwrap_err().kind(), ErrorKind::File);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, [0; 1_000]).unwrap();
    let refused = |path: &Path, limit| prepare(path, cover(), limit, None).map(drop).unwrap_err().kind();
    assert_eq!(refused(&path, 1_000), ErrorKind::Invalid, "encrypted it is longer");
    assert_eq!(refused(directory.path(), 1_000), ErrorKind::File);
    assert_eq!(refused(&directory.path().join("nothing"), 1_000), ErrorKind::File);
}
