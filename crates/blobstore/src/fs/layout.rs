//! Where everything lies in the directory, and the few operations that must survive a power cut.
//!
//! ```text
//! <store>/.lock                      held while the store is open
//! <store>/.staged/<random>           uploads under way
//! <store>/<space>/<aa>/<digest>      blobs; aa are the first two digits
//! ```
//!
//! Everything here blocks.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sweep::is_older;
use crate::{BlobId, Committed, Digest, Found, Space};

const STAGED: &str = ".staged";
const LOCK: &str = ".lock";

/// The directory of a store.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

/// A staged file; removed when this is dropped, unless it was published.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    published: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "what an upload left could not be removed"),
        }
    }
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    pub(super) fn staged(&self) -> PathBuf {
        self.root.join(STAGED)
    }

    fn space(&self, space: &Space) -> PathBuf {
        self.root.join(space.as_str())
    }

    pub(super) fn blob(&self, blob: &BlobId) -> PathBuf {
        let name = blob.digest.to_string();
        self.space(&blob.space).join(&name[..2]).join(name)
    }

    /// A new file that nobody sees.
    pub(super) fn stage(&self) -> io::Result<(File, Staged)> {
        let path = self.staged().join(format!("{:032x}", rand::random::<u128>()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((file, Staged { path, published: false }))
    }

    /// Gives a staged file, whose content is on the disk, its name.
    pub(super) fn publish(&self, mut staged: Staged, blob: &BlobId) -> io::Result<Committed> {
        let path = self.blob(blob);
        let directory = path.parent().unwrap_or(&self.root);
        let space = self.space(&blob.space);
        // A space may be removed at this moment; then its directories are made once more.
        let mut attempts = 0..3;
        let committed = loop {
            if create_directory(&space)? {
                sync_directory(&self.root)?;
            }
            let renamed = create_directory(directory).and_then(|new| {
                if new {
                    sync_directory(&space)?;
                }
                let committed = if path.exists() { Committed::Again } else { Committed::New };
                fs::rename(&staged.path, &path).map(|()| committed)
            });
            match renamed {
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts.next().is_some() => {}
                outcome => break outcome?,
            }
        };
        staged.published = true;
        sync_directory(directory)?;
        Ok(committed)
    }

    /// Deletes a blob and the directories that are empty then.
    pub(super) fn remove(&self, blob: &BlobId) -> io::Result<bool> {
        let path = self.blob(blob);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Some(directory) = path.parent() {
            sync_directory(directory)?;
            // These fail where something is left, which is fine.
            if fs::remove_dir(directory).is_ok() {
                drop(fs::remove_dir(self.space(&blob.space)));
            }
        }
        Ok(true)
    }

    /// Deletes a blob that was not committed within `age`. A commit at the same time replaces what is there before or after.
    pub(super) fn remove_older(&self, blob: &BlobId, age: Duration) -> io::Result<bool> {
        match fs::metadata(self.blob(blob)).and_then(|metadata| metadata.modified()) {
            Ok(stored) if is_older(stored, age) => self.remove(blob),
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a space: out of sight in one step, then file by file.
    pub(super) fn remove_space(&self, space: &Space) -> io::Result<()> {
        let grave = self.staged().join(format!("{:032x}", rand::random::<u128>()));
        match fs::rename(self.space(space), &grave) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        sync_directory(&self.root)?;
        fs::remove_dir_all(&grave)
    }

    /// Blobs behind `after`, in order.
    pub(super) fn list(&self, after: Option<&BlobId>, limit: usize) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let is_before = |space: &Space| after.is_some_and(|after| *space < after.space);
        let mut spaces: Vec<Space> = names(&self.root)?.iter().filter_map(|name| name.parse().ok()).collect();
        spaces.retain(|space| !is_before(space));
        spaces.sort();
        for space in spaces {
            let path = self.space(&space);
            let mut prefixes = names(&path)?;
            prefixes.sort();
            for prefix in prefixes {
                let behind = |digest: &Digest| after.is_none_or(|after| space.blob(*digest) > *after);
                let mut digests: Vec<Digest> = names(&path.join(prefix))?
                    .iter()
                    .filter_map(|name| name.parse().ok())
                    .filter(behind)
                    .collect();
                digests.sort();
                for digest in digests {
                    let blob = space.blob(digest);
                    match fs::metadata(self.blob(&blob)).and_then(|metadata| metadata.modified()) {
                        Ok(stored) => found.push(Found { blob, stored }),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                    if found.len() >= limit {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Removes staged files, and remains of spaces, that have not moved for `age`.
    pub(super) fn sweep_staged(&self, age: Duration) -> io::Result<usize> {
        let mut removed = 0;
        for name in names(&self.staged())? {
            let path = self.staged().join(name);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if !is_older(metadata.modified()?, age) {
                continue;
            }
            let gone = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match gone {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// The names in a directory that are text; none if it does not exist.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_str().map(str::to_owned)).transpose()
    };
    entries.filter_map(name).collect()
}

/// Makes a directory for its owner alone; says whether it is new.
pub(super) fn create_directory(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(if path.as_os_str() == OsStr::new("") { Path::new(".") } else { path })?.sync_all()
}
