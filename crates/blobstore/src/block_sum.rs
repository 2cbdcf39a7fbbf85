//! The checksum of a block, by which a part of a blob is checked without the rest.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::Digest;

/// Bytes of a blob that the directory backend checks together.
pub(crate) const BLOCK: usize = 64 * 1024;
/// Bytes of a checksum.
pub(crate) const SUM: usize = 16;

/// XXH3-128, seeded with the blob's digest and the block's number: it finds damage, and blocks of other blobs or of other
/// places. It is no proof against somebody who writes to the storage; the digest of the whole is.
pub(crate) fn block_sum(digest: &Digest, number: u64, block: &[u8]) -> [u8; SUM] {
    let mut start = [0; 8];
    start.copy_from_slice(&digest.as_bytes()[..8]);
    xxh3_128_with_seed(block, u64::from_be_bytes(start) ^ number).to_be_bytes()
}
