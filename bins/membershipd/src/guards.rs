//! What must hold before anything listens: the data directory is ours alone, and keys are private.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::process::geteuid;

use crate::config::{DataPaths, Plane};

/// What a nats-server makes in the directory of its streams.
const NATS_SERVER_STREAMS: &str = "jetstream";
/// What the embedded data plane makes in the directory of its own.
const EMBEDDED_STREAMS: &str = "FORMAT";

/// The data directory, locked for this process as long as the value lives.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    paths: DataPaths,
    // Closing the file releases the lock.
    _lock: File,
}

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// The directory does not exist and cannot be made.
    #[error("the data directory {} cannot be created: {source}; name another one with --db or --nats-store", .path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else has the name.
    #[error("{} is not a directory; name one with --db or --nats-store", .0.display())]
    NotADirectory(PathBuf),
    /// Somebody else owns it.
    #[error("the data directory {} belongs to another user (uid {owner}): run as that user, or name another one with --db or --nats-store", .path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others could read keys or replace the database.
    #[error("the data directory {} is open to other users (mode {mode:o}): chmod 700 it, or name another one with --db or --nats-store", .path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Nothing can be written in it.
    #[error("the data directory {} cannot be written: {source}", .path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another kind of data plane keeps its streams there.
    #[error("{} holds the streams of {kept_by}, which this data plane does not read: name another directory with --nats-store; what is in it is moved, never taken over", .path.display())]
    OtherPlane {
        /// The directory.
        path: PathBuf,
        /// Whose streams they are.
        kept_by: &'static str,
    },
    /// Another process has it.
    #[error("the data directory {} is in use by another process{}: stop it first, or give --db another path", .path.display(), .holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who has it, if it said.
        holder: Option<u32>,
    },
}

impl DataDirectory {
    /// Makes the directory if it is missing (mode 0700), checks that it is private and writable, and locks it.
    pub(crate) fn claim(paths: &DataPaths) -> Result<Self, DataDirectoryError> {
        let path = paths.directory();
        make(path)?;
        check_private(path)?;
        let lock = lock(&paths.lock(), path)?;
        Ok(Self { paths: paths.clone(), _lock: lock })
    }

    /// Makes a further directory of the bus if it is missing (mode 0700), and checks that it is private. Whoever
    /// keeps data in it locks it.
    pub(crate) fn check_further(path: &Path) -> Result<(), DataDirectoryError> {
        make(path)?;
        check_private(path)
    }

    /// Looks whether [`DataDirectory::claim`] would take a directory, and makes nothing. One that is missing is fine as far as
    /// it can be made.
    pub(crate) fn inspect(path: &Path) -> Result<(), DataDirectoryError> {
        if path.exists() {
            check_private(path)?;
            return writable(path)
                .map_err(|source| DataDirectoryError::Unwritable { path: path.to_owned(), source });
        }
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let above = absolute.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
        writable(above).map_err(|source| DataDirectoryError::Create { path: path.to_owned(), source })
    }

    /// Checks that a directory holds no streams of the other kind of data plane.
    pub(crate) fn check_streams(path: &Path, plane: &Plane) -> Result<(), DataDirectoryError> {
        let (foreign, kept_by) = match plane {
            Plane::Embedded(_) => (path.join(NATS_SERVER_STREAMS).is_dir(), "a nats-server"),
            Plane::Clustered(_) => (Self::has_embedded_streams(path), "the embedded data plane"),
            // Its streams are elsewhere.
            Plane::External(_) => return Ok(()),
        };
        if foreign { Err(DataDirectoryError::OtherPlane { path: path.to_owned(), kept_by }) } else { Ok(()) }
    }

    /// Whether the embedded data plane keeps its streams in a directory.
    pub(crate) fn has_embedded_streams(path: &Path) -> bool {
        path.join(EMBEDDED_STREAMS).is_file()
    }

    /// What lies where in it.
    pub(crate) fn paths(&self) -> &DataPaths {
        &self.paths
    }
}

fn make(path: &Path) -> Result<(), DataDirectoryError> {
    if path.exists() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| DataDirectoryError::Create { path: path.to_owned(), source })
}

fn check_private(path: &Path) -> Result<(), DataDirectoryError> {
    let metadata = fs::metadata(path)
        .map_err(|source| DataDirectoryError::Unwritable { path: path.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(DataDirectoryError::NotADirectory(path.to_owned()));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(DataDirectoryError::ForeignOwner { path: path.to_owned(), owner: metadata.uid() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DataDirectoryError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

fn writable(directory: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn lock(lock: &Path, directory: &Path) -> Result<File, DataDirectoryError> {
    let unwritable = |source| DataDirectoryError::Unwritable { path: directory.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock)
        .map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let holder = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
            return Err(DataDirectoryError::InUse { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(unwritable(error)),
    }
    // Only for the message above; the lock itself is what counts.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unwritable)?;
    Ok(file)
}

/// Why a private key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be looked at.
    #[error("the key file {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Everybody can read it.
    #[error("the key file {} is open to other users (mode {mode:o}): chmod 600 it, and replace the key if it lay there for long", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Refuses a key file that others than its owner (and a group made for such keys) can read or write.
pub(crate) fn check_key_file(path: &Path) -> Result<(), KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
    let mode = File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?.mode() & 0o7777;
    if mode & 0o027 != 0 {
        return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreKind;

    #[test]
    fn streams_of_a_nats_server_are_not_those_of_the_embedded_plane() {
        let directory = tempfile::tempdir().unwrap();
        let plane = Plane::Embedded(StoreKind::Sqlite);
        DataDirectory::check_streams(directory.path(), &plane).unwrap();
        fs::create_dir(directory.path().join(NATS_SERVER_STREAMS)).unwrap();
        let refused = DataDirectory::check_streams(directory.path(), &plane).unwrap_err();
        assert!(refused.to_string().contains("--nats-store"), "{refused}");
    }
}
