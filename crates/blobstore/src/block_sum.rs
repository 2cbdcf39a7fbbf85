//! The checksum of a block, by which a part of a blob is checked without the rest.

use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

use crate::Digest;

/// Bytes of a blob that the directory backend checks together.
pub(crate) const BLOCK: usize = 64 * 1024;
/// Bytes of a checksum.
pub(crate) const SUM: usize = 16;

/// XXH3-128, seeded with the blob's digest and the block's number: it finds damage, and blocks of other blobs or of other
/// places. It is no proof against somebody who writes to the storage; the digest of the whole is.
pub(crate) fn block_sum(digest: &Digest, number: u64, block: &[u8]) -> [u8; SUM] {
    xxh3_128_with_seed(block, seed(digest, number)).to_be_bytes()
}

/// The checksum of a block that lies in several pieces.
pub(crate) fn block_sum_of<'a>(
    digest: &Digest,
    number: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> [u8; SUM] {
    let mut hasher = Xxh3::with_seed(seed(digest, number));
    pieces.for_each(|piece| hasher.update(piece));
    hasher.digest128().to_be_bytes()
}

fn seed(digest: &Digest, number: u64) -> u64 {
    let mut start = [0; 8];
    start.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(start) ^ number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_checksum_of_the_whole() {
        let block: Vec<u8> = (0..BLOCK).map(|place| (place * 7 / 3) as u8).collect();
        let digest = Digest::of(&block);
        for length in [1, 16, 200, 241, 1_000, BLOCK] {
            let whole = block_sum(&digest, 3, &block[..length]);
            for piece in [1, 100, 4_096, 65_535] {
                assert_eq!(
                    block_sum_of(&digest, 3, block[..length].chunks(piece)),
                    whole,
                    "{length} in {piece}"
                );
            }
        }
    }
}
