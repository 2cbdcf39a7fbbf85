//! A disk of a node's own that can be filled and made free again.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Much more than a run writes.
const SIZE: &std::ffi::CStr = c"size=512m,mode=0700";
/// What fills it, in its own directory.
const FILLER: &str = "filler";

/// A file system in memory, mounted for as long as the value lives.
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// A disk in this place. `None`, said with its reason, where this process may not mount anything.
    pub(crate) fn mounted(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        match mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(SIZE)) {
            Ok(()) => Some(Self { at: at.to_owned() }),
            Err(error) => {
                println!("no node has a disk of its own, so none is filled: mounting one: {error}");
                None
            }
        }
    }

    /// Fills it to the last block, if anything is free.
    pub(crate) fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.at.join(FILLER)).unwrap();
        // Smaller and smaller, to the last block.
        for size in [1 << 20, 64 << 10, 4 << 10] {
            let block = vec![1; size];
            loop {
                match filler.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("a disk cannot be filled: {error}"),
                }
            }
        }
    }

    /// Makes it free again.
    pub(crate) fn free(&self) {
        match std::fs::remove_file(self.at.join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("a disk cannot be freed: {error}"),
            _ => {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has files there goes on for the moment that is left.
        if let Err(error) = unmount(&self.at, UnmountFlags::DETACH) {
            println!("{} stays mounted: {error}", self.at.display());
        }
    }
}
