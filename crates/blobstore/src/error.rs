//! Why a store said no.
//!
//! No text here names a path: a caller may show it to a stranger. The causes behind [`BlobError::Unavailable`] and
//! [`BlobError::Damaged`] are logged where they occur.

/// Why an operation on a store did not happen. Nothing of a failed upload stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("there is no such file")]
    NotFound,
    /// The bytes are not those that the digest names. Nothing was stored.
    #[error("the content does not match its digest")]
    DigestMismatch,
    /// More or fewer bytes came than were announced. Nothing was stored.
    #[error("the content has another length than was announced")]
    LengthMismatch,
    /// The range lies beyond the blob's end.
    #[error("the file has {length} bytes; the range lies beyond its end")]
    OutOfRange {
        /// The blob's length.
        length: u64,
    },
    /// No room for it. Nothing was stored; something must be deleted first.
    #[error("there is no room left to store the file")]
    Full,
    /// What is stored is not what was stored once. Nothing of the damaged part was handed out; storing the blob again
    /// repairs it.
    #[error("the stored file is damaged")]
    Damaged,
    /// The store cannot answer now: closed, or the disk does not work. The cause is in the log.
    #[error("the file store is not available")]
    Unavailable,
}
