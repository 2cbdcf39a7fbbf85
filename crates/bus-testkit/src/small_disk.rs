//! A disk that a test can fill: a small file system in memory, mounted for the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// What takes the room away.
const FILLER: &str = "filler";

/// The disk may be in use while it is filled.
const ATTEMPTS: u32 = 1000;

/// A small file system. Dropping it unmounts it.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// A disk of so many bytes. `None` where mounting is not permitted, after saying so; with `CI=true` that is an error,
    /// since a test that is left out there is a failure.
    pub fn mount(bytes: u64) -> anyhow::Result<Option<Self>> {
        let directory = TempDir::with_prefix("unibus-disk-").context("no temporary directory")?;
        match mount(directory.path(), bytes) {
            Ok(()) => Ok(Some(Self(directory))),
            Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => {
                Err(error.context("a small disk cannot be mounted"))
            }
            Err(error) => {
                say(&format!("left out, a small disk cannot be mounted: {error:#}"));
                Ok(None)
            }
        }
    }

    /// A directory on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Takes room until only so many bytes are free.
    pub fn fill_up_to(&self, free: u64) -> anyhow::Result<()> {
        self.clear()?;
        let filler = File::create(self.path(FILLER))?;
        for _ in 0..ATTEMPTS {
            let taken = self.free()?.saturating_sub(free);
            match rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, taken) {
                // Others have written since.
                Err(rustix::io::Errno::NOSPC) => {}
                outcome => return Ok(outcome?),
            }
        }
        anyhow::bail!("others write faster than the disk can be filled")
    }

    /// Gives the room back.
    pub fn clear(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.path(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Bytes that are free.
    pub fn free(&self) -> anyhow::Result<u64> {
        let stat = rustix::fs::statvfs(self.0.path())?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0.path()) {
            say(&format!("the small disk stays mounted: {error:#}"));
        }
    }
}

#[cfg(target_os = "linux")]
fn mount(directory: &Path, bytes: u64) -> anyhow::Result<()> {
    let options = std::ffi::CString::new(format!("size={bytes},mode=0700"))?;
    let flags = rustix::mount::MountFlags::empty();
    Ok(rustix::mount::mount("tmpfs", directory, "tmpfs", flags, options.as_c_str())?)
}

#[cfg(target_os = "linux")]
fn unmount(directory: &Path) -> anyhow::Result<()> {
    Ok(rustix::mount::unmount(directory, rustix::mount::UnmountFlags::DETACH)?)
}

#[cfg(not(target_os = "linux"))]
fn mount(_: &Path, _: u64) -> anyhow::Result<()> {
    anyhow::bail!("there is no tmpfs on this system")
}

#[cfg(not(target_os = "linux"))]
fn unmount(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

#[expect(clippy::print_stderr, reason = "whoever reads the output of a test should see it")]
fn say(what: &str) {
    eprintln!("{what}");
}
