//! From a path to a locked directory.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layout::{Layout, create_directory, sync_directory};

/// Why a store cannot be opened. Nothing was changed in what it holds.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be created or used. Fix its owner or mode, or choose another.
    #[error("cannot keep files in {}: {source}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others could read or replace files in it: chmod 700 it, or choose another.
    #[error("{} is open to other users (mode {mode:o}): chmod 700 it, or choose another directory", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else owns it: choose another.
    #[error("{} belongs to another user (uid {owner}): run as that user, or choose another directory", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Another process (or another store in this one) has it open. Stop that one first.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

/// The lock on a directory. Let go when this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Closing the file would leave the lock to a child process that was forked and has not closed its copy yet.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "unlocking the file store failed");
        }
    }
}

/// Creates what is missing, takes the lock, removes leftovers. Blocks.
pub(super) fn open(path: &Path) -> Result<(Layout, Lock), OpenError> {
    let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
    // One directory has one lock, by whatever path it is reached.
    let root = path.canonicalize().map_err(unusable)?;
    check_private(&root)?;
    let layout = Layout::new(root);
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(layout.lock());
    let lock = lock.map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    let lock = Lock(lock);
    create_directory(&layout.staged()).map_err(unusable)?;
    let left = layout.sweep_staged(Duration::ZERO).map_err(unusable)?;
    if left > 0 {
        tracing::info!(left, "removed what uploads had left when the process before ended");
    }
    sync_directory(layout.root()).map_err(unusable)?;
    Ok((layout, lock))
}

/// Refuses a directory that is not its owner's alone. It is not changed: the path may be a mistake.
fn check_private(path: &Path) -> Result<(), OpenError> {
    let metadata =
        fs::metadata(path).map_err(|source| OpenError::Unusable { path: path.to_owned(), source })?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(OpenError::ForeignOwner { path: path.to_owned(), owner: metadata.uid() });
    }
    let mode = metadata.mode() & 0o7777;
    let of_others = mode & 0o077;
    if of_others == 0 { Ok(()) } else { Err(OpenError::OpenToOthers { path: path.to_owned(), mode }) }
}
