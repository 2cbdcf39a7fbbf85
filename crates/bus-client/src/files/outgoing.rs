//! A file on its way out. Everything here blocks.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use room_protocol::BlobDigest;
use room_protocol::chunked::{
    CHUNK_BYTES, CHUNK_OVERHEAD, ChunkCipher, ChunkPlace, chunk_count, encrypted_length,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{Cover, PARTS, Phase, ProgressWatch, file_error, tell};
use crate::error::{Error, ErrorKind, Result};

/// The authentication tag of an encrypted chunk.
type Tag = [u8; CHUNK_OVERHEAD];

/// A file that was read once, so that everything about what will be sent is known.
#[derive(Clone)]
pub(crate) struct Prepared {
    path: PathBuf,
    cover: Arc<Cover>,
    /// Bytes in the file.
    pub(crate) size: u64,
    /// Bytes that are sent.
    pub(crate) length: u64,
    /// What they hash to.
    pub(crate) digest: BlobDigest,
    /// Of the encrypted chunks: 256 KiB for a file of 1 GiB.
    tags: Arc<[Tag]>,
}

/// Reads a file to learn what will be sent. Nothing longer than `limit` is read.
pub(crate) fn prepare(
    path: &Path,
    cover: Arc<Cover>,
    limit: u64,
    watch: Option<&ProgressWatch>,
) -> Result<Prepared> {
    let (mut file, size) = open(path)?;
    let length = match &*cover {
        Cover::Plain => Some(size),
        Cover::Sealed { .. } => encrypted_length(size),
    };
    let length = length.filter(|length| *length <= limit).ok_or_else(|| {
        let text = format!("{} is too long: a file may have {limit} bytes on this bus", path.display());
        Error::new(ErrorKind::Invalid, text)
    })?;
    let (digest, tags) = match &*cover {
        Cover::Plain => (hash(path, &mut file, size, watch)?, Vec::new()),
        Cover::Sealed { header, cipher } => std::thread::scope(|scope| {
            // Encrypting and hashing take about as long as each other: each has a thread.
            let (sealed, chunks) = std::sync::mpsc::sync_channel::<Vec<u8>>(PARTS);
            let hashing = scope.spawn(move || {
                let mut hasher = Sha256::new();
                hasher.update(header.to_bytes());
                for chunk in chunks {
                    hasher.update(&chunk);
                }
                BlobDigest::from_bytes(hasher.finalize().into())
            });
            let tags = seal(path, &mut file, size, cipher, watch, &sealed);
            drop(sealed);
            let digest = hashing.join().map_err(|_| Error::closed())?;
            Ok::<_, Error>((digest, tags?))
        })?,
    };
    Ok(Prepared { path: path.to_owned(), cover, size, length, digest, tags: tags.into() })
}

/// What the content of a file hashes to.
fn hash(path: &Path, file: &mut File, size: u64, watch: Option<&ProgressWatch>) -> Result<BlobDigest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    for number in 0..chunk_count(size) {
        let chunk = read_chunk(file, &mut buffer, number, size).map_err(|error| unread(path, error))?;
        hasher.update(chunk);
        tell(watch, Phase::Hashing, size.min((number + 1) * CHUNK_BYTES as u64), size);
    }
    Ok(BlobDigest::from_bytes(hasher.finalize().into()))
}

/// Encrypts a file, hands on what comes out, and keeps the tags.
fn seal(
    path: &Path,
    file: &mut File,
    size: u64,
    cipher: &ChunkCipher,
    watch: Option<&ProgressWatch>,
    sealed: &SyncSender<Vec<u8>>,
) -> Result<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    for number in 0..chunk_count(size) {
        let chunk = read_chunk(file, &mut buffer, number, size).map_err(|error| unread(path, error))?;
        let chunk = cipher.encrypt(number, place(number, size), chunk)?;
        tags.push(tag(&chunk));
        sealed.send(chunk).map_err(|_| Error::closed())?;
        tell(watch, Phase::Hashing, size.min((number + 1) * CHUNK_BYTES as u64), size);
    }
    Ok(tags)
}

impl Prepared {
    /// Reads the file again and hands out what is sent, until nobody takes it any more.
    pub(crate) fn send(&self, parts: &mpsc::Sender<Bytes>, watch: Option<&ProgressWatch>) -> Result<()> {
        let (mut file, size) = open(&self.path)?;
        if size != self.size {
            return Err(changed(&self.path));
        }
        if let Cover::Sealed { header, .. } = &*self.cover
            && parts.blocking_send(Bytes::copy_from_slice(&header.to_bytes())).is_err()
        {
            return Ok(());
        }
        for number in 0..chunk_count(size) {
            let mut buffer = vec![0; CHUNK_BYTES];
            let chunk = read_chunk(&mut file, &mut buffer, number, size)
                .map_err(|error| unread(&self.path, error))?;
            let part = match &*self.cover {
                // Another content than before has another digest, and is refused for it.
                Cover::Plain => {
                    let read = chunk.len();
                    buffer.truncate(read);
                    Bytes::from(buffer)
                }
                Cover::Sealed { cipher, .. } => {
                    let sealed = cipher.encrypt(number, place(number, size), chunk)?;
                    let expected = usize::try_from(number).ok().and_then(|number| self.tags.get(number));
                    // The same tag under the same nonce means the same content.
                    if expected != Some(&tag(&sealed)) {
                        return Err(changed(&self.path));
                    }
                    Bytes::from(sealed)
                }
            };
            if !part.is_empty() && parts.blocking_send(part).is_err() {
                return Ok(());
            }
            tell(watch, Phase::Sending, size.min((number + 1) * CHUNK_BYTES as u64), size);
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<(File, u64)> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    let (file, metadata) = opened.map_err(|error| unread(path, error))?;
    if !metadata.is_file() {
        let text = format!("{} is not a file that can be read twice", path.display());
        return Err(Error::new(ErrorKind::File, text));
    }
    Ok((file, metadata.len()))
}

/// Reads chunk `number` of a file of `size` bytes.
fn read_chunk<'a>(file: &mut File, buffer: &'a mut [u8], number: u64, size: u64) -> io::Result<&'a [u8]> {
    let left = size - number * CHUNK_BYTES as u64;
    let length = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
    file.read_exact(&mut buffer[..length])?;
    Ok(&buffer[..length])
}

fn place(number: u64, size: u64) -> ChunkPlace {
    if number + 1 == chunk_count(size) { ChunkPlace::Last } else { ChunkPlace::Inner }
}

fn tag(sealed: &[u8]) -> Tag {
    let mut tag = Tag::default();
    tag.copy_from_slice(&sealed[sealed.len() - CHUNK_OVERHEAD..]);
    tag
}

fn unread(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return changed(path);
    }
    file_error("cannot read", path, error)
}

fn changed(path: &Path) -> Error {
    let text = format!("{} changed while it was read: send it when nobody writes to it", path.display());
    Error::new(ErrorKind::File, text)
}
