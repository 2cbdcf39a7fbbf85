//! Rules of what is read back.

use super::world::{World, content, space};
use crate::{BlobError, Digest, ReadRange};

/// Lengths around the places where backends may cut.
const LENGTHS: [usize; 10] = [0, 1, 65_535, 65_536, 65_537, 131_072, 262_143, 262_144, 262_145, 1_000_003];

pub(super) async fn blobs_of_all_lengths_are_read_back(world: &mut World) {
    for length in LENGTHS {
        let content = content(length);
        let blob = world.put(&space("one"), &content).await;
        assert_eq!(world.store.stat(&blob).await.map(|info| info.length), Ok(length as u64));
        assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Ok(content), "{length} bytes");
    }
}

pub(super) async fn parts_of_any_size_make_the_same_blob(world: &mut World) {
    let content = content(300_001);
    for (n, part) in [1_013, 65_535, 65_536, 65_537, 262_144, 262_145, 300_001].into_iter().enumerate() {
        let blob = space(&format!("s{n}")).blob(Digest::of(&content));
        world.put_in_parts(&blob, &content, part).await.expect("the blob is stored");
        assert_eq!(world.read(&blob, ReadRange::WHOLE).await.as_ref(), Ok(&content), "parts of {part}");
    }
}

pub(super) async fn every_range_is_exact(world: &mut World) {
    let length = 1_000_003;
    let content = content(length);
    let blob = world.put(&space("one"), &content).await;
    let edges = [0, 1, 65_535, 65_536, 65_537, 262_144, 500_000, 999_999, 1_000_002, 1_000_003, 2_000_000];
    for start in edges {
        for end in edges.into_iter().filter(|end| *end > start && start < length) {
            let range = ReadRange { start: start as u64, end: end as u64 };
            let got = world.read(&blob, range).await.expect("a range");
            assert!(got == content[start..end.min(length)], "{start}..{end}");
        }
    }
}

pub(super) async fn a_range_beyond_the_end_is_refused(world: &mut World) {
    let blob = world.put(&space("one"), &content(10)).await;
    for (start, end) in [(10, 20), (10, 10), (5, 5), (7, 3), (u64::MAX, u64::MAX)] {
        let refused = world.read(&blob, ReadRange { start, end }).await;
        assert_eq!(refused, Err(BlobError::OutOfRange { length: 10 }), "{start}..{end}");
    }
    let empty = world.put(&space("one"), &content(0)).await;
    let refused = world.read(&empty, ReadRange { start: 1, end: 2 }).await;
    assert_eq!(refused, Err(BlobError::OutOfRange { length: 0 }));
}
