//! A blob's file: a header, then blocks, each followed by its checksum.
//!
//! ```text
//! magic (8) || length, u64 BE || digest (32) || XXH3-128 of the 48 bytes before (16)
//! { block of 64 KiB, the last one shorter || XXH3-128 of the block, seeded with digest and block number (16) } *
//! ```
//!
//! The place of every block follows from its number, so that a range is read, and checked, without the rest. The
//! checksums find damage, and blocks of other files or of other places. That the whole is what its digest says is
//! checked with SHA-256 before it is committed and whenever all of it is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use xxhash_rust::xxh3::xxh3_128;

use crate::Digest;
use crate::block_sum::{BLOCK, SUM};

/// A block and its checksum.
pub(super) const FRAME: usize = BLOCK + SUM;
/// Bytes before the first block.
pub(super) const HEADER: usize = 64;

/// Names the format and its version.
const MAGIC: [u8; 8] = *b"UNIBLOB\x01";

/// What a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) digest: Digest,
    pub(super) length: u64,
}

/// What stands in the file is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("the header is damaged")]
    Header,
    #[error("the file is that of another blob")]
    Misplaced,
    #[error("the file has the wrong size")]
    Size,
    #[error("block {0} is damaged")]
    Block(u64),
    #[error("the content does not hash to its digest")]
    Content,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.length.to_be_bytes());
        bytes[16..48].copy_from_slice(self.digest.as_bytes());
        let sum = xxh3_128(&bytes[..48]).to_be_bytes();
        bytes[48..].copy_from_slice(&sum);
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> Result<Self, Damage> {
        let (fields, sum) = bytes.split_at(48);
        if fields[..8] != MAGIC || xxh3_128(fields).to_be_bytes() != *sum {
            return Err(Damage::Header);
        }
        let mut length = [0; 8];
        length.copy_from_slice(&fields[8..16]);
        let mut digest = [0; 32];
        digest.copy_from_slice(&fields[16..48]);
        Ok(Self { digest: Digest::from_bytes(digest), length: u64::from_be_bytes(length) })
    }

    /// Reads and checks the header of the file of `digest`, and the file's size.
    pub(super) fn read(file: &File, digest: &Digest) -> io::Result<Result<Self, Damage>> {
        let mut bytes = [0; HEADER];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(Damage::Header)),
            Err(error) => return Err(error),
        }
        let size = file.metadata()?.len();
        Ok(Self::from_bytes(&bytes).and_then(|header| {
            if header.digest != *digest {
                Err(Damage::Misplaced)
            } else if file_size(header.length) != Some(size) {
                Err(Damage::Size)
            } else {
                Ok(header)
            }
        }))
    }

    /// The number of blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.length.div_ceil(BLOCK as u64)
    }

    /// How long a block is; 0 behind the last.
    pub(super) fn block_length(&self, number: u64) -> usize {
        let before = number.saturating_mul(BLOCK as u64);
        usize::try_from(self.length.saturating_sub(before)).unwrap_or(BLOCK).min(BLOCK)
    }
}

/// The size of a file for a blob of this length; `None` when there cannot be one.
pub(super) fn file_size(length: u64) -> Option<u64> {
    let sums = length.div_ceil(BLOCK as u64).checked_mul(SUM as u64)?;
    length.checked_add(sums)?.checked_add(HEADER as u64)
}

/// Where a block's frame begins in the file.
pub(super) fn frame_offset(number: u64) -> u64 {
    HEADER as u64 + number * FRAME as u64
}
