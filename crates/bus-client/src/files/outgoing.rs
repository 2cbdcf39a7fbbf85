//! A file on its way out. Everything here blocks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use bytes::Bytes;
use room_protocol::BlobDigest;
use room_protocol::chunked::{CHUNK_BYTES, CHUNK_OVERHEAD, ChunkPlace, chunk_count, encrypted_length};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{Cover, PARTS, Phase, ProgressWatch, file_error, tell};
use crate::error::{Error, ErrorKind, Result};

/// Chunks of a part: large enough that handing parts from thread to thread costs little.
const PART_CHUNKS: usize = 4;
const FRAME: usize = CHUNK_BYTES + CHUNK_OVERHEAD;

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
    let mut reading = Reading::open(path, &cover)?;
    let size = reading.size;
    let length = match &*cover {
        Cover::Plain => Some(size),
        Cover::Sealed { .. } => encrypted_length(size),
    };
    let length = length.filter(|length| *length <= limit).ok_or_else(|| {
        let text = format!("{} is too long: a file may have {limit} bytes on this bus", path.display());
        Error::new(ErrorKind::Invalid, text)
    })?;
    // Hashing takes as long as all the rest: it has a thread of its own. What it has hashed is filled again.
    let (digest, tags) = std::thread::scope(|scope| {
        let (parts, filled) = std::sync::mpsc::sync_channel::<Vec<u8>>(PARTS);
        let (hashed, spent) = std::sync::mpsc::sync_channel::<Vec<u8>>(PARTS);
        let covered = &*cover;
        let hashing = scope.spawn(move || hash(covered, filled, &hashed));
        let tags = pass(&mut reading, watch, &parts, &spent);
        drop(parts);
        let digest = hashing.join().map_err(|_| Error::closed())?;
        Ok::<_, Error>((digest, tags?))
    })?;
    Ok(Prepared { path: path.to_owned(), cover, size, length, digest, tags: tags.into() })
}

/// What all that is sent hashes to. The room of parts is given back, unless enough of it is waiting.
fn hash(cover: &Cover, parts: Receiver<Vec<u8>>, spent: &SyncSender<Vec<u8>>) -> BlobDigest {
    let mut hasher = Sha256::new();
    if let Cover::Sealed { header, .. } = cover {
        hasher.update(header.to_bytes());
    }
    for part in parts {
        hasher.update(&part);
        drop(spent.try_send(part));
    }
    BlobDigest::from_bytes(hasher.finalize().into())
}

/// Reads a file, hands on what would be sent, and keeps the tags of what is encrypted.
fn pass(
    reading: &mut Reading<'_>,
    watch: Option<&ProgressWatch>,
    parts: &SyncSender<Vec<u8>>,
    spent: &Receiver<Vec<u8>>,
) -> Result<Vec<Tag>> {
    let mut tags = Vec::new();
    while let Some(part) = reading.next(spent.try_recv().unwrap_or_default())? {
        if matches!(reading.cover, Cover::Sealed { .. }) {
            tags.extend(part.chunks(FRAME).map(tag));
        }
        parts.send(part).map_err(|_| Error::closed())?;
        tell(watch, Phase::Hashing, reading.done, reading.size);
    }
    Ok(tags)
}

impl Prepared {
    /// Reads the file again and hands out what is sent, until nobody takes it any more.
    pub(crate) fn send(&self, parts: &mpsc::Sender<Bytes>, watch: Option<&ProgressWatch>) -> Result<()> {
        let mut reading = Reading::open(&self.path, &self.cover)?;
        if reading.size != self.size {
            return Err(changed(&self.path));
        }
        if let Cover::Sealed { header, .. } = &*self.cover
            && parts.blocking_send(Bytes::copy_from_slice(&header.to_bytes())).is_err()
        {
            return Ok(());
        }
        let mut tags = self.tags.iter();
        // Parts on their way; the room of those that are out is used again.
        let mut sent = VecDeque::<Bytes>::new();
        while let Some(part) = reading.next(spent(&mut sent))? {
            // The same tag under the same nonce means the same content. Plain content that is another than before has
            // another digest, and is refused for it.
            if matches!(*self.cover, Cover::Sealed { .. })
                && part.chunks(FRAME).any(|frame| tags.next() != Some(&tag(frame)))
            {
                return Err(changed(&self.path));
            }
            let part = Bytes::from(part);
            sent.push_back(part.clone());
            if !part.is_empty() && parts.blocking_send(part).is_err() {
                return Ok(());
            }
            tell(watch, Phase::Sending, reading.done, reading.size);
        }
        Ok(())
    }
}

/// The room of a part that nobody needs any more. Not much is kept of those that somebody does.
fn spent(sent: &mut VecDeque<Bytes>) -> Vec<u8> {
    if sent.front().is_some_and(Bytes::is_unique) || sent.len() > 2 * PARTS {
        return sent.pop_front().filter(Bytes::is_unique).map(Vec::from).unwrap_or_default();
    }
    Vec::new()
}

/// A file that is read from its beginning, in the parts that are sent.
struct Reading<'a> {
    path: &'a Path,
    file: File,
    /// Bytes in the file, and how many of them were read.
    size: u64,
    done: u64,
    cover: &'a Cover,
    /// The chunk that comes next.
    chunk: u64,
}

impl<'a> Reading<'a> {
    fn open(path: &'a Path, cover: &'a Cover) -> Result<Self> {
        let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = opened.map_err(|error| unread(path, error))?;
        if !metadata.is_file() {
            let text = format!("{} is not a file that can be read twice", path.display());
            return Err(Error::new(ErrorKind::File, text));
        }
        Ok(Self { path, file, size: metadata.len(), done: 0, cover, chunk: 0 })
    }

    /// The next part, several chunks in the room of `part`.
    fn next(&mut self, mut part: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let chunks = chunk_count(self.size);
        if self.chunk >= chunks {
            return Ok(None);
        }
        let count = (chunks - self.chunk).min(PART_CHUNKS as u64);
        let whole = PART_CHUNKS * CHUNK_BYTES;
        let content = usize::try_from(self.size - self.done).unwrap_or(whole).min(whole);
        match self.cover {
            Cover::Plain => {
                part.resize(content, 0);
                self.read(&mut part)?;
            }
            // A chunk is read to where it is sent from, and encrypted there.
            Cover::Sealed { cipher, .. } => {
                part.resize(content + usize::try_from(count).unwrap_or(PART_CHUNKS) * CHUNK_OVERHEAD, 0);
                for (number, frame) in (self.chunk..).zip(part.chunks_mut(FRAME)) {
                    let length = frame.len() - CHUNK_OVERHEAD;
                    self.read(&mut frame[..length])?;
                    let place = if number + 1 == chunks { ChunkPlace::Last } else { ChunkPlace::Inner };
                    cipher.encrypt_in_place(number, place, frame)?;
                }
            }
        }
        self.done += content as u64;
        self.chunk += count;
        Ok(Some(part))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact(buffer).map_err(|error| unread(self.path, error))
    }
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
