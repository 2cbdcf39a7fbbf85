//! Where the state lies: a directory of small private files, or memory. Every access happens under one lock, which
//! for a directory also keeps other processes of the same person out.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// Larger than any file written here; a bigger one is not ours.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) enum Files {
    Memory(Mutex<HashMap<String, Vec<u8>>>),
    Directory(PathBuf),
}

/// Access while the lock is held.
pub(super) enum Access<'a> {
    Memory(&'a mut HashMap<String, Vec<u8>>),
    Directory(&'a Path),
}

impl Files {
    /// Opens (and creates, mode 0700) a state directory.
    pub(super) fn directory(path: &Path) -> io::Result<Self> {
        create_private_dir(path)?;
        refuse_shared(path)?;
        create_private_dir(&path.join("rooms"))?;
        create_private_dir(&path.join("evidence"))?;
        Ok(Self::Directory(path.to_owned()))
    }

    /// Runs `work` with nobody else reading or writing.
    pub(super) fn exclusively<T>(
        &self,
        work: impl FnOnce(&mut Access<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Memory(files) => work(&mut Access::Memory(&mut files.lock())),
            Self::Directory(path) => {
                let lock =
                    private_options().create(true).truncate(false).write(true).open(path.join("lock"))?;
                lock.lock()?;
                // The lock goes with the file handle, also when `work` fails.
                work(&mut Access::Directory(path))
            }
        }
    }
}

impl Access<'_> {
    /// The whole file, or none.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let root = match self {
            Self::Memory(files) => return Ok(files.get(name).cloned()),
            Self::Directory(root) => root,
        };
        let file = match File::open(root.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("{name} is larger than {MAX_FILE} bytes"),
            ));
        }
        Ok(Some(content))
    }

    /// Replaces the file in one step: a reader, or a crash, sees the old or the new content and nothing between.
    pub(super) fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let root = match self {
            Self::Memory(files) => {
                files.insert(name.to_owned(), content.to_owned());
                return Ok(());
            }
            Self::Directory(root) => root,
        };
        let target = root.join(name);
        let staged = root.join(format!("{name}.new"));
        let mut file = private_options().create(true).truncate(true).write(true).open(&staged)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&staged, &target)?;
        sync_parent(&target)
    }

    /// Cuts the file to `keep` bytes and writes `content` behind them.
    pub(super) fn append(&mut self, name: &str, keep: u64, content: &[u8]) -> io::Result<()> {
        let root = match self {
            Self::Memory(files) => {
                let file = files.entry(name.to_owned()).or_default();
                file.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
                file.extend_from_slice(content);
                return Ok(());
            }
            Self::Directory(root) => root,
        };
        let target = root.join(name);
        let mut file = private_options().create(true).truncate(false).write(true).open(&target)?;
        file.set_len(keep)?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        file.write_all(content)?;
        file.sync_all()?;
        sync_parent(&target)
    }
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whoever can write here can move pins and heads, which is as good as being the server.
#[cfg(unix)]
fn refuse_shared(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!("{} is writable by others (mode {:o}); chmod 700 it", path.display(), mode & 0o777),
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_shared(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}
