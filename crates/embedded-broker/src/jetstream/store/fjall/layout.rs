//! The directory of a store: who may use it, what version it has, and where things are in it.

use super::record::Salt;
use rustix::fs::FlockOperation;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Version of everything in the directory.
const FORMAT: u32 = 2;
/// The version before, in which every message is listed in the index of subjects: it is read as it is.
const BEFORE: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const PREFIX: &str = "unibus streams, format ";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    #[error("streams in {} are in use by another process: stop it first, or use another directory", .0.display())]
    Locked(PathBuf),
    #[error(
        "streams in {} were written by another version (format {found}; this one reads {BEFORE} and {FORMAT}): \
         run the version that wrote them, or use another directory",
        directory.display()
    )]
    Version { directory: PathBuf, found: u32 },
    #[error("cannot use {} for streams", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A directory that this process holds.
#[derive(Debug)]
pub(super) struct Layout {
    directory: PathBuf,
    lock: File,
}

impl Drop for Layout {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started by another thread has the file as well, until it runs.
        self.release();
    }
}

/// What the directory says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Nothing was ever stored in it.
    New,
    /// It has a version that we read, and this salt.
    Known { salt: Salt, is_current: bool },
    /// It cannot be read what version it has.
    Damaged,
}

impl Layout {
    /// Makes the directory if need be, and takes it.
    pub(super) fn take(directory: &Path) -> Result<Self, LayoutError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LayoutError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed(directory))?;
        let path = directory.join("LOCK");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { directory: directory.to_path_buf(), lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LayoutError::Locked(directory.to_path_buf())),
            Err(error) => Err(failed(&path)(error.into())),
        }
    }

    /// Lets others have the directory, before this is dropped.
    pub(super) fn release(&self) {
        if let Err(error) = rustix::fs::flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(%error, "cannot unlock the directory of the streams");
        }
    }

    /// Reads the version.
    pub(super) fn format(&self) -> Result<Format, LayoutError> {
        let path = self.directory.join(FORMAT_FILE);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(1024).read_to_end(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let nothing_there = !self.database().exists();
                return Ok(if nothing_there { Format::New } else { Format::Damaged });
            }
            Err(source) => return Err(LayoutError::Io { path, source }),
        }
        match parse_format(&text) {
            Some((FORMAT, salt)) => Ok(Format::Known { salt, is_current: true }),
            Some((BEFORE, salt)) => Ok(Format::Known { salt, is_current: false }),
            Some((found, _)) => Err(LayoutError::Version { directory: self.directory.clone(), found }),
            None => Ok(Format::Damaged),
        }
    }

    /// Writes the version that we write.
    pub(super) fn write_format(&self, salt: Salt) -> io::Result<()> {
        replace(&self.directory.join(FORMAT_FILE), format_text(FORMAT, salt).as_bytes())
    }

    /// Notes that something damaged was read, so that the next opening reads everything.
    pub(super) fn set_suspect(&self) -> io::Result<()> {
        replace(&self.suspect_file(), b"")
    }

    /// Whether something damaged was read.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect_file().exists()
    }

    /// Everything was read since.
    pub(super) fn clear_suspect(&self) -> io::Result<()> {
        match fs::remove_file(self.suspect_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn suspect_file(&self) -> PathBuf {
        self.directory.join("SUSPECT")
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The engine's part.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("db")
    }

    /// A database that is being made, and is not to be used before it has its name.
    pub(super) fn unfinished_database(&self) -> PathBuf {
        self.directory.join("db.new")
    }

    /// A new directory for what turned out to be damaged, for people to look at.
    pub(super) fn new_damaged(&self) -> io::Result<PathBuf> {
        let parent = self.directory.join("damaged");
        DirBuilder::new().recursive(true).mode(0o700).create(&parent)?;
        let mut number = 1_u32;
        loop {
            let path = parent.join(number.to_string());
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
                Ok(()) => {
                    sync_directory(&parent)?;
                    sync_directory(&self.directory)?;
                    return Ok(path);
                }
            }
        }
    }
}

pub(super) fn format_text(version: u32, salt: Salt) -> String {
    let text = format!("{PREFIX}{version}, salt {:016x}", u64::from_be_bytes(salt.0));
    let checksum = crc32c::crc32c(text.as_bytes());
    format!("{text} ({checksum:08x})\n")
}

/// The version a text names, and the salt; none when the text is not one of ours as it was written. Later versions keep
/// to this form.
pub(super) fn parse_format(text: &[u8]) -> Option<(u32, Salt)> {
    let text = std::str::from_utf8(text).ok()?;
    let (version, rest) = text.strip_prefix(PREFIX)?.split_once(", salt ")?;
    let version = version.parse().ok()?;
    let salt = Salt(u64::from_str_radix(rest.get(..16)?, 16).ok()?.to_be_bytes());
    (text == format_text(version, salt)).then_some((version, salt))
}

/// Writes a file so that it is either as it was, or has all of the new content, also after a power failure.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Writes what is in a file at a place once more, durably. It takes no more space, and a power failure in between changes
/// nothing.
pub(super) fn rewrite(path: &Path, at: u64, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written_or_not_at_all() {
        let text = format_text(7, Salt([1; 8]));
        assert_eq!(parse_format(text.as_bytes()), Some((7, Salt([1; 8]))));
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            assert_eq!(parse_format(&damaged), None, "byte {at}");
        }
    }
}
