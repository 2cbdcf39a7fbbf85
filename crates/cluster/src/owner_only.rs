//! Reading files that hold secrets: bounded, and only when nobody but their owner could have read them before.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// No secret, key or chain comes near this; it keeps a wrong path (a device, a log) from filling memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than the owner may read it.
    #[error("{} holds a secret and is open to others (mode {mode:04o}): chmod 600 it, and replace what is in it if it lay there for long", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is larger than anything that belongs there.
    #[error("{} is larger than {MAX_BYTES} bytes: it is neither a secret nor a certificate", .0.display())]
    TooLarge(PathBuf),
    /// It is not text.
    #[error("{} is not text", .0.display())]
    NotText(PathBuf),
}

/// Reads a file with a secret.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, FileError> {
    read(path, true)
}

/// Reads a file that anybody may read.
pub(crate) fn read_public(path: &Path) -> Result<Zeroizing<String>, FileError> {
    read(path, false)
}

fn read(path: &Path, owner_only: bool) -> Result<Zeroizing<String>, FileError> {
    /// Permission bits of group and others.
    const NOT_THE_OWNER: u32 = 0o077;

    let failed = |source| FileError::Read { path: path.to_owned(), source };
    // The mode is taken from the open file: a path could be exchanged between the check and the read.
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if owner_only && mode & NOT_THE_OWNER != 0 {
        return Err(FileError::OpenToOthers { path: path.to_owned(), mode });
    }
    // Of the right size from the start: growing would leave copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if read as u64 > MAX_BYTES {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| FileError::NotText(path.to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}
