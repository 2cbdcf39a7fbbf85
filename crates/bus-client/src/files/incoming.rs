//! A file on its way in. Everything here blocks.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};

use bytes::Bytes;
use room_protocol::BlobDigest;
use room_protocol::chunked::{CHUNK_BYTES, CHUNK_OVERHEAD, ChunkError, ChunkPlace, HEADER_BYTES};
use sha2::{Digest as _, Sha256};

use super::{Cover, PARTS, Phase, ProgressWatch, damaged, file_error, tell};
use crate::error::{Error, ErrorKind, Result};

const FRAME: usize = CHUNK_BYTES + CHUNK_OVERHEAD;

/// After so many bytes they are flushed to the disk.
const FLUSH_EVERY: u64 = 32 << 20;

/// A download that has not ended yet, in a file beside its destination.
pub(crate) struct Partial {
    file: Arc<File>,
    path: PathBuf,
    cover: Arc<Cover>,
    digest: BlobDigest,
    /// Bytes as stored, header included.
    total: u64,
    /// Of these, how many are here.
    received: u64,
    /// Of everything received.
    hasher: Sha256,
    /// The chunk that comes next, and what has come of it.
    chunk: u64,
    gathered: Vec<u8>,
    /// Room in which chunks are decrypted.
    room: Vec<u8>,
    watch: Option<ProgressWatch>,
}

/// What goes on beside a download.
struct Beside {
    hash: SyncSender<Bytes>,
    flush: SyncSender<()>,
}

impl Beside {
    fn hash(&self, frame: Bytes) -> Result<()> {
        self.hash.send(frame).map_err(|_| Error::closed())
    }
}

/// A download ended early, and why; it can go on.
pub(crate) struct Unfinished {
    pub(crate) partial: Partial,
    pub(crate) error: Option<Error>,
}

/// The content does not hash to the digest.
#[derive(Debug, thiserror::Error)]
#[error("the content does not match the digest")]
struct WrongDigest;

/// More came than there is.
#[derive(Debug, thiserror::Error)]
#[error("more bytes came than the file has")]
struct TooLong;

impl Partial {
    /// Opens the file beside `destination` and verifies what is in it.
    pub(crate) fn open(
        destination: &Path,
        digest: BlobDigest,
        cover: Arc<Cover>,
        total: u64,
        watch: Option<ProgressWatch>,
    ) -> Result<Self> {
        let path = beside(destination, &digest)?;
        let failed = |error| file_error("cannot write", &path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("{} is being fetched by another process", destination.display());
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut partial = Self {
            file: Arc::new(file),
            path,
            cover,
            digest,
            total,
            received: 0,
            hasher: Sha256::new(),
            chunk: 0,
            gathered: Vec::new(),
            room: Vec::new(),
            watch,
        };
        partial.check_length()?;
        partial.resume().map_err(|error| file_error("cannot read", &partial.path, error))?;
        Ok(partial)
    }

    /// Where in the stored file the next bytes are.
    pub(crate) fn position(&self) -> u64 {
        self.received
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.received == self.total
    }

    /// Encrypted files come in whole chunks, the last of which is not empty unless it is the only one.
    fn check_length(&self) -> Result<()> {
        if matches!(*self.cover, Cover::Plain) {
            return Ok(());
        }
        let sealed = self.total.checked_sub(HEADER_BYTES as u64).ok_or(ChunkError::ShortHeader)?;
        let last = sealed % FRAME as u64;
        let fits = last == 0 || last > CHUNK_OVERHEAD as u64 || sealed == CHUNK_OVERHEAD as u64;
        if sealed > 0 && fits { Ok(()) } else { Err(ChunkError::WrongLength.into()) }
    }

    fn chunks(&self) -> u64 {
        self.total.saturating_sub(HEADER_BYTES as u64).div_ceil(FRAME as u64)
    }

    /// Takes over what an earlier attempt left: of an encrypted file the whole chunks before the last.
    fn resume(&mut self) -> io::Result<()> {
        let there = self.file.metadata()?.len();
        let mut buffer = vec![0; FRAME];
        let kept = match &*self.cover {
            Cover::Plain => {
                let kept = there.min(self.total);
                let mut left = kept;
                while left > 0 {
                    let length = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                    (&*self.file).read_exact(&mut buffer[..length])?;
                    self.hasher.update(&buffer[..length]);
                    left -= length as u64;
                    tell(self.watch.as_ref(), Phase::Resuming, kept - left, self.total);
                }
                self.received = kept;
                kept
            }
            Cover::Sealed { header, cipher } => {
                self.hasher.update(header.to_bytes());
                self.received = HEADER_BYTES as u64;
                let whole = (there / CHUNK_BYTES as u64).min(self.chunks().saturating_sub(1));
                for number in 0..whole {
                    (&*self.file).read_exact(&mut buffer[..CHUNK_BYTES])?;
                    // Deterministic: a chunk that was altered here shows in the digest at the end.
                    cipher
                        .encrypt_in_place(number, ChunkPlace::Inner, &mut buffer)
                        .map_err(io::Error::other)?;
                    self.hasher.update(&buffer);
                    self.received += FRAME as u64;
                    tell(self.watch.as_ref(), Phase::Resuming, self.received, self.total);
                }
                self.chunk = whole;
                whole * CHUNK_BYTES as u64
            }
        };
        self.file.set_len(kept)?;
        (&*self.file).seek(SeekFrom::Start(kept))?;
        Ok(())
    }

    /// Takes in what comes, until the sender is gone. What came is hashed, decrypted and written, and brought to the disk
    /// at the same time, so that little is left to do at the end.
    pub(crate) fn receive(mut self, parts: tokio::sync::mpsc::Receiver<Bytes>) -> Unfinished {
        let (file, mut hasher) = (self.file.clone(), std::mem::take(&mut self.hasher));
        let (hash, frames) = mpsc::sync_channel::<Bytes>(PARTS);
        let (flush, flushes) = mpsc::sync_channel::<()>(1);
        let error = std::thread::scope(|scope| {
            let hashing = scope.spawn(move || {
                for frame in frames {
                    hasher.update(&frame);
                }
                hasher
            });
            let flushing = scope.spawn(move || flushes.iter().try_for_each(|()| file.sync_data()));
            let taken = self.take_all(parts, &Beside { hash, flush });
            if let Ok(hasher) = hashing.join() {
                self.hasher = hasher;
            }
            // The system reports a failure once: a later flush would not meet it again.
            let flushed = flushing
                .join()
                .map_err(|_| Error::closed())
                .and_then(|flushed| flushed.map_err(|error| file_error("cannot write", &self.path, error)));
            taken.and(flushed).err()
        });
        Unfinished { partial: self, error }
    }

    fn take_all(&mut self, mut parts: tokio::sync::mpsc::Receiver<Bytes>, beside: &Beside) -> Result<()> {
        let mut flushed = self.received;
        while let Some(part) = parts.blocking_recv() {
            self.take(part, beside)?;
            // One that still runs is not waited for.
            if self.received - flushed >= FLUSH_EVERY && beside.flush.try_send(()).is_ok() {
                flushed = self.received;
            }
            tell(self.watch.as_ref(), Phase::Receiving, self.received, self.total);
        }
        Ok(())
    }

    fn take(&mut self, mut part: Bytes, beside: &Beside) -> Result<()> {
        if self.received + part.len() as u64 > self.total {
            return Err(damaged(TooLong));
        }
        self.received += part.len() as u64;
        let cover = self.cover.clone();
        let Cover::Sealed { cipher, .. } = &*cover else {
            beside.hash(part.clone())?;
            return self.write(&part);
        };
        while !part.is_empty() {
            let is_last = self.chunk + 1 == self.chunks();
            let length = if is_last { self.last_frame() } else { FRAME };
            // A chunk that came in one piece is not copied.
            let frame = if self.gathered.is_empty() && part.len() >= length {
                part.split_to(length)
            } else {
                let taken = part.split_to(part.len().min(length - self.gathered.len()));
                self.gathered.extend_from_slice(&taken);
                if self.gathered.len() < length {
                    return Ok(());
                }
                let gathered = std::mem::take(&mut self.gathered);
                Bytes::from(gathered)
            };
            let place = if is_last { ChunkPlace::Last } else { ChunkPlace::Inner };
            beside.hash(frame.clone())?;
            // Not where it lies: it is being hashed there.
            let mut room = std::mem::take(&mut self.room);
            room.clear();
            room.extend_from_slice(&frame);
            self.write(cipher.decrypt_in_place(self.chunk, place, &mut room)?)?;
            self.room = room;
            self.chunk += 1;
        }
        Ok(())
    }

    fn last_frame(&self) -> usize {
        let before = (self.chunks() - 1) * FRAME as u64 + HEADER_BYTES as u64;
        usize::try_from(self.total - before).unwrap_or(FRAME)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        (&*self.file).write_all(bytes).map_err(|error| file_error("cannot write", &self.path, error))
    }

    /// Checks the digest and gives the file its name. Answers how long it is.
    pub(crate) fn finish(self, destination: &Path) -> Result<u64> {
        let Self { file, path, digest, hasher, .. } = self;
        if BlobDigest::from_bytes(hasher.finalize().into()) != digest {
            drop(fs::remove_file(&path));
            return Err(damaged(WrongDigest));
        }
        let named = || -> io::Result<u64> {
            file.sync_all()?;
            let size = file.metadata()?.len();
            fs::rename(&path, destination)?;
            Ok(size)
        };
        named().map_err(|error| file_error("cannot write", destination, error))
    }

    /// Removes what is here: it is not what it should be.
    pub(crate) fn discard(self) {
        drop(fs::remove_file(&self.path));
    }
}

/// `report.pdf` grows as `.report.pdf.0123456789abcdef.part`: of each version its own.
fn beside(destination: &Path, digest: &BlobDigest) -> Result<PathBuf> {
    let Some(name) = destination.file_name() else {
        let text = format!("{} does not name a file", destination.display());
        return Err(Error::new(ErrorKind::File, text));
    };
    let mut part = OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", &digest.to_string()[..16]));
    Ok(destination.with_file_name(part))
}
