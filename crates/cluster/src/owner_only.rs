//! Reading files that hold secrets: bounded, and only when nobody but their owner, and whoever root
//! has handed them to, could have read them before.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
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

/// Whether nobody but their owner could have read a file. What root hands to a service by an access list looks as if its group
/// could read it; that is so for whoever reads what is root's and is not root.
fn is_closed(mode: u32, owner: u32, reader: u32) -> bool {
    /// Permission bits of group and others, and those but for reading by the group.
    const NOT_THE_OWNER: u32 = 0o077;
    const NEITHER_OWNER_NOR_LIST: u32 = 0o037;

    mode & NOT_THE_OWNER == 0 || (mode & NEITHER_OWNER_NOR_LIST == 0 && owner == 0 && reader != 0)
}

fn read(path: &Path, owner_only: bool) -> Result<Zeroizing<String>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    // The mode is taken from the open file: a path could be exchanged between the check and the read.
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if owner_only && !is_closed(mode, metadata.uid(), geteuid().as_raw()) {
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

#[cfg(test)]
mod tests {
    use super::is_closed;

    #[test]
    fn only_root_may_open_a_secret_to_more_than_its_owner() {
        for (mode, owner, reader, closed) in [
            (0o600, 1000, 1000, true),
            (0o400, 0, 0, true),
            (0o640, 1000, 1000, false),
            (0o604, 1000, 1000, false),
            // As a service manager hands it over.
            (0o440, 0, 61234, true),
            (0o440, 0, 0, false),
            (0o444, 0, 61234, false),
            (0o460, 0, 61234, false),
        ] {
            assert_eq!(is_closed(mode, owner, reader), closed, "{mode:o} of {owner} for {reader}");
        }
    }
}
