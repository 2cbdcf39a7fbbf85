//! Where the bus keeps its data: one directory, named by the database in it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::DEFAULT_DB;
use super::plane::StoreKind;

/// The longest path of a local socket that every system takes, with room to spare (Linux: 107 bytes,
/// macOS: 103).
const SOCKET_PATH_LIMIT: usize = 100;
/// The local control socket's name in the data directory.
const SOCKET_NAME: &str = "control.sock";

/// The directory of the files in rooms, in the data directory.
const FILES_NAME: &str = "blobs";

/// Where everything is kept. The directory of the database is the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPaths {
    db: PathBuf,
    directory: PathBuf,
    files: PathBuf,
    /// Where users and rooms are kept, as far as the settings say.
    store: StoreKind,
    /// `$XDG_RUNTIME_DIR`.
    runtime_directory: Option<PathBuf>,
}

impl DataPaths {
    /// The database.
    pub fn db(&self) -> &Path {
        &self.db
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files in rooms.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Where users and rooms are kept, as far as the settings say.
    pub fn store(&self) -> StoreKind {
        self.store
    }

    /// Says where the bus that was started here keeps its users and rooms.
    pub fn store_note(&self) -> PathBuf {
        self.directory.join("membershipd.store")
    }

    /// Says which bus this is, to others at the same external NATS.
    pub fn instance(&self) -> PathBuf {
        self.directory.join("membershipd.instance")
    }

    /// Locked by the process that uses the directory.
    pub fn lock(&self) -> PathBuf {
        self.directory.join("membershipd.lock")
    }

    /// Says that the bus kept here has had users.
    pub fn first_start_marker(&self) -> PathBuf {
        self.directory.join("membershipd.started")
    }

    /// The identity of the first admin of a bus that only this machine reaches.
    pub fn admin_identity(&self) -> PathBuf {
        self.directory.join("admin.identity")
    }

    /// The streams of rooms with history, unless another directory is set.
    pub fn streams(&self) -> PathBuf {
        self.directory.join("jetstream")
    }

    /// The bus's own certificate authority.
    pub fn tls(&self) -> PathBuf {
        self.directory.join("tls")
    }

    /// The local control socket: in the data directory, or where its path would be too long for a socket, in
    /// `$XDG_RUNTIME_DIR` under a name made from the data directory. `None` when neither will do.
    pub fn control_socket(&self) -> Option<PathBuf> {
        // Daemon and commands may name the directory from different places and have to agree.
        let directory = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        let beside = directory.join(SOCKET_NAME);
        let elsewhere = self.runtime_directory.as_ref().map(|runtime| {
            let name = short_digest(directory.as_os_str().as_bytes());
            runtime.join(format!("unibus-{name}.sock"))
        });
        // The last resort works for those who start commands where the daemon was started.
        let relative = self.directory.join(SOCKET_NAME);
        [Some(beside), elsewhere, Some(relative)]
            .into_iter()
            .flatten()
            .find(|path| path.as_os_str().len() < SOCKET_PATH_LIMIT)
    }
}

fn short_digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes)[..8])
}

impl Default for DataPaths {
    fn default() -> Self {
        Self::of(PathBuf::from(DEFAULT_DB), PathBuf::from("./local_files"))
    }
}

impl DataPaths {
    pub(super) fn with_runtime_directory(mut self, directory: Option<&str>) -> Self {
        self.runtime_directory = directory.map(PathBuf::from);
        self
    }

    pub(super) fn with_store(mut self, store: StoreKind) -> Self {
        self.store = store;
        self
    }

    /// The same with the files in rooms elsewhere than beside the database.
    pub(crate) fn with_files(mut self, files: Option<PathBuf>) -> Self {
        self.files = files.unwrap_or(self.files);
        self
    }

    fn of(db: PathBuf, directory: PathBuf) -> Self {
        let files = directory.join(FILES_NAME);
        Self { db, directory, files, store: StoreKind::Sqlite, runtime_directory: None }
    }
}

impl FromStr for DataPaths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let db = PathBuf::from(text);
        if db.file_name().is_none() || text.ends_with('/') {
            return Err(format!("\"{text}\" does not name a file"));
        }
        let directory = match db.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self::of(db, directory))
    }
}
