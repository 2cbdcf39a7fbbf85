//! A disk that a test can fill: a small file system in memory, which only root may mount.

use std::{
    env,
    ffi::CString,
    fs::{self, File},
    path::Path,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// What takes the room away.
const FILLER: &str = "filler";
/// Others write there while it is filled.
const TRIES: usize = 1000;

/// A small file system. Dropping it unmounts it.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// A disk of so many MiB. `None` where mounting is not permitted, after saying so; on CI that is a failure.
    pub(crate) fn mount(mib: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = CString::new(format!("size={mib}m,mode=0700")).unwrap();
        match mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self(directory)),
            Err(error) => {
                let is_ci = env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!is_ci, "a small disk cannot be mounted: {error}");
                println!("left out, a small disk cannot be mounted: {error}");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes room, or gives some back, until so many MiB are free: never more on the way.
    pub(crate) fn fill_up_to(&self, mib: u64) {
        let mut options = File::options();
        let filler = options.create(true).write(true).truncate(false).open(self.path().join(FILLER)).unwrap();
        for _ in 0..TRIES {
            let disk = rustix::fs::statvfs(self.path()).unwrap();
            let taken = filler.metadata().unwrap().len();
            let wanted = (taken + disk.f_bavail * disk.f_frsize).saturating_sub(mib << 20);
            if wanted <= taken {
                return filler.set_len(wanted).unwrap();
            }
            match rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, wanted) {
                // Others have written since.
                Err(rustix::io::Errno::NOSPC) => {}
                outcome => return outcome.unwrap(),
            }
        }
        panic!("others write faster than the disk can be filled");
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.path().join(FILLER)).ok();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0.path(), UnmountFlags::DETACH) {
            println!("the small disk stays mounted: {error}");
        }
    }
}
