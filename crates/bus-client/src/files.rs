//! Files in rooms: encrypted on their way out, verified on their way in, in constant memory.
//!
//! A file is read twice: once to learn the digest that is signed before the first byte goes out, once to send it. In an
//! encrypted room both passes encrypt, with the same nonces; the second sends a chunk only if it came out as in the first, so
//! that a file which changes meanwhile never has two contents encrypted under one nonce.
//!
//! A download grows in a file beside its destination, which gets its name when the digest matched. What was there of an
//! earlier attempt is verified (by encrypting it again) and goes on from its last whole chunk.

mod incoming;
mod outgoing;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use room_protocol::chunked::{ChunkCipher, ChunkError, ChunkedHeader};
use room_protocol::{BlobDigest, FileName, MessageId};

use crate::error::{Error, ErrorKind};

pub(crate) use incoming::{Partial, Unfinished};
pub(crate) use outgoing::{Prepared, prepare};

/// Parts of a file that may wait between the network and the disk.
pub(crate) const PARTS: usize = 8;

/// How a file is put into a room.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct PutFile {
    /// What members see it called; the file's own name if none is given.
    pub name: Option<FileName>,
    /// Do not send the signed message that tells the members about the file and proves whose it is.
    pub silent: bool,
    /// Hears how far it is.
    pub progress: Option<ProgressWatch>,
}

/// How a file is fetched from a room.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct GetFile {
    /// Hears how far it is.
    pub progress: Option<ProgressWatch>,
}

/// Who hears how far a transfer is. Called from several threads, and often: it should return at once.
pub type ProgressWatch = Arc<dyn Fn(Progress) + Send + Sync>;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// Bytes done in this phase.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What goes on in a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The file is read to learn its digest.
    Hashing,
    /// The file goes out.
    Sending,
    /// What an earlier attempt left is verified.
    Resuming,
    /// The file comes in.
    Receiving,
}

/// A file that was put into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFile {
    /// Its name in the room: what the stored bytes hash to.
    pub digest: BlobDigest,
    /// What members see it called.
    pub name: FileName,
    /// Its length before encryption.
    pub size: u64,
    /// The message that told the members, unless it was left out.
    pub message: Option<MessageId>,
}

/// How a file's bytes become what is stored, and back.
pub(crate) enum Cover {
    /// They are stored as they are.
    Plain,
    /// Encrypted in chunks.
    Sealed { header: ChunkedHeader, cipher: ChunkCipher },
}

/// Tells the watch, if there is one.
pub(crate) fn tell(watch: Option<&ProgressWatch>, phase: Phase, done: u64, total: u64) {
    if let Some(watch) = watch {
        watch(Progress { phase, done, total });
    }
}

/// A file of this computer cannot be used.
pub(crate) fn file_error(what: &str, path: &Path, source: io::Error) -> Error {
    Error::new(ErrorKind::File, format!("{what} {}: {source}", path.display())).with_source(source)
}

/// What came is not what the digest names.
pub(crate) fn damaged(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::FileDamaged, "what the bus delivers is not the file that the digest names")
        .with_source(source)
}

impl From<ChunkError> for Error {
    fn from(error: ChunkError) -> Self {
        damaged(error)
    }
}

impl fmt::Debug for PutFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutFile")
            .field("name", &self.name)
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetFile").finish_non_exhaustive()
    }
}
