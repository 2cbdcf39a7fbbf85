//! From a path to connections: directory, lock, file modes, connection options.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use super::errors;
use crate::Bound;

/// How long a statement waits for another connection's lock. Only a checkpoint or an operator's `sqlite3` can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for a free connection before it is refused.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// After a burst the write-ahead log shrinks to this, in bytes.
const WAL_KEEP_BYTES: &str = "16777216";
/// SQLite's default, which we do not change.
const PAGE_BYTES: u64 = 4_096;

/// Why a store cannot be opened. Nothing was changed in a file that is refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be created, or no file can be written in it. Fix its owner or mode, or choose another.
    #[error("cannot write at {}: {source}", path.display())]
    Unwritable {
        /// The directory or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process (or another store in this one) has it open. Stop that one first.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Not an SQLite file, or one that is damaged. Restore a backup; the file was left as it is.
    #[error("{} is damaged or not a database: {detail}; it was left as it is, restore a backup", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// An SQLite database of another program.
    #[error("{} is the database of another program", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// Written by a newer version of this program. Use that version.
    #[error("{} has schema version {found}, this program knows {known}: use a newer version", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The schema version of the file.
        found: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The store holds more than the configured limits of the view. Raise them.
    #[error("{} holds more than {bound}: raise the limit", path.display())]
    OverLimit {
        /// The database file.
        path: PathBuf,
        /// The limit.
        bound: Bound,
    },
    /// Anything else that SQLite reports.
    #[error("cannot open {}: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
}

/// A locked place for a database. The lock is let go when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    lock: Lock,
}

/// The lock on a database. Let go when this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    fn take(path: &Path) -> Result<Self, TryLockError> {
        let file = private_file().create(true).open(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    /// Closing the file would leave the lock to a child process that was forked and has not closed its copy yet.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "unlocking the membership store failed");
        }
    }
}

/// Creates the directory and the file if they are missing, and takes the lock.
pub(super) async fn prepare(path: PathBuf) -> Result<Place, OpenError> {
    let named = path.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare_blocking(&path)).await;
    prepared.unwrap_or_else(|join| Err(OpenError::Unwritable { path: named, source: io::Error::other(join) }))
}

fn prepare_blocking(path: &Path) -> Result<Place, OpenError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Unwritable { path, source }
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    private_directory().create(parent).map_err(unwritable(parent))?;
    // One file has one lock, by whatever path it is reached.
    let parent = parent.canonicalize().map_err(unwritable(parent))?;
    let name = path.file_name().ok_or_else(|| {
        unwritable(path)(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))
    })?;
    let path = parent.join(name);
    let path = path.canonicalize().unwrap_or(path);
    if path.is_dir() {
        return Err(unwritable(&path)(io::ErrorKind::IsADirectory.into()));
    }

    let mut lock_path = path.clone().into_os_string();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let lock = match Lock::take(&lock_path) {
        Ok(lock) => lock,
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
        Err(TryLockError::Error(source)) => return Err(unwritable(&lock_path)(source)),
    };
    create_or_restrict(&path, &parent).map_err(unwritable(&path))?;
    Ok(Place { path, lock })
}

/// Makes an empty file, or takes one that others could read (a copy, a restored backup) back to its owner.
///
/// A file that exists is not opened here: closing it again would take the POSIX locks from a connection of this
/// process that is still on its way out.
fn create_or_restrict(path: &Path, parent: &Path) -> io::Result<()> {
    if path.exists() {
        return restrict(path);
    }
    private_file().create_new(true).open(path)?.sync_all()?;
    File::open(parent)?.sync_all()
}

/// SQLite gives its companion files (`-wal`, `-shm`) the mode of the database file.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let of_others = fs::metadata(path)?.permissions().mode() & 0o077;
    if of_others == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "the database was accessible to other users; setting its mode to 0600");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Place {
    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps only the lock.
    pub(super) fn into_lock(self) -> Lock {
        self.lock
    }

    fn connect_options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(&self.path).busy_timeout(BUSY_TIMEOUT)
    }

    /// A connection that changes nothing: for a look at a file that may not be ours.
    pub(super) async fn connect_to_inspect(&self) -> Result<SqliteConnection, OpenError> {
        self.connect_options().read_only(true).connect().await.map_err(|error| self.refuse(error))
    }

    /// How the one writing connection is made.
    pub(super) fn writer_options(&self, max_file_bytes: Option<u64>) -> SqliteConnectOptions {
        let options = self
            .connect_options()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // macOS: an fsync that reaches the disk. Elsewhere these have no effect.
            .pragma("fullfsync", "ON")
            .pragma("checkpoint_fullfsync", "ON")
            .pragma("journal_size_limit", WAL_KEEP_BYTES);
        match max_file_bytes {
            Some(bytes) => options.pragma("max_page_count", (bytes / PAGE_BYTES).max(1).to_string()),
            None => options,
        }
    }

    /// The first writing connection.
    pub(super) async fn connect_writer(
        &self,
        max_file_bytes: Option<u64>,
    ) -> Result<SqliteConnection, OpenError> {
        self.writer_options(max_file_bytes).connect().await.map_err(|error| self.refuse(error))
    }

    /// The reading connections; they are made when they are needed.
    pub(super) fn reader_pool(&self, readers: u32) -> SqlitePool {
        let options = self.connect_options().read_only(true);
        SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options)
    }

    /// What an error of SQLite while opening means.
    pub(super) fn refuse(&self, error: sqlx::Error) -> OpenError {
        let path = self.path.clone();
        if errors::is_damage(&error) {
            return OpenError::Corrupt { path, detail: error.to_string() };
        }
        if errors::is_refused_by_system(&error) {
            return OpenError::Unwritable { path, source: io::Error::other(error) };
        }
        OpenError::Database { path, source: error }
    }

    /// The file was read, and holds what it should not.
    pub(super) fn corrupt(&self, detail: impl Into<String>) -> OpenError {
        OpenError::Corrupt { path: self.path.clone(), detail: detail.into() }
    }
}
