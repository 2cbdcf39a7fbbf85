//! A disk that is about to be full is treated as full, because the engine cannot take it when it really is.
//!
//! A journal write that fails poisons the engine. So free space is looked at before each batch. Above the high water
//! mark nothing that grows is written any more, until space is below the low water mark again; deletes and
//! acknowledgements go on for longer, since they are what frees space. A reserve file is given back when the engine runs
//! into the end of the disk all the same, so that what it has to do to recover can be done.

use parking_lot::Mutex;
use rustix::fs::FallocateFlags;
use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const MIB: u64 = 1024 * 1024;

/// When a disk counts as full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpaceLimits {
    /// It is full when less than this is free.
    pub(crate) min_free: u64,
    /// It is full when more than this many percent are used.
    pub(crate) max_used: u8,
    /// It is never full while this much is free: a twentieth of a large disk is more than anybody needs.
    pub(crate) enough: u64,
    /// It is not full any more when it is this many percent of its size better than that, or half of `enough`.
    pub(crate) gap: u8,
    /// Size of the file that is given back in need.
    pub(crate) reserve: u64,
}

impl Default for SpaceLimits {
    fn default() -> Self {
        Self { min_free: 256 * MIB, max_used: 95, enough: 2048 * MIB, gap: 2, reserve: 64 * MIB }
    }
}

/// What a batch does to the space that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It stores messages.
    Growth,
    /// It deletes, or updates what is small.
    Relief,
}

/// Looks at free space.
#[derive(Debug)]
pub(super) struct Space {
    directory: PathBuf,
    reserve: PathBuf,
    limits: Mutex<SpaceLimits>,
    full: Mutex<bool>,
}

/// Free and used space of a disk.
#[derive(Debug, Clone, Copy)]
struct Disk {
    free: u64,
    used: u64,
}

impl Disk {
    fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        // What only root may use is neither free nor used, as `df` counts.
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { free: bytes(stat.f_bavail), used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)) })
    }

    fn size(self) -> u128 {
        u128::from(self.free) + u128::from(self.used)
    }

    fn percent(self, percent: u8) -> u64 {
        u64::try_from(self.size() * u128::from(percent) / 100).unwrap_or(u64::MAX)
    }

    /// Whether less is free than has to be. A disk that was full has to be better than that for a while.
    fn is_over(self, limits: &SpaceLimits, was_full: bool) -> bool {
        let unused = self.percent(100_u8.saturating_sub(limits.max_used));
        let mark = unused.min(limits.enough).max(limits.min_free);
        let gap = if was_full { self.percent(limits.gap).min(limits.enough / 2) } else { 0 };
        self.free < mark.saturating_add(gap)
    }
}

impl Space {
    pub(super) fn new(directory: &Path, limits: SpaceLimits) -> Self {
        Self {
            directory: directory.to_path_buf(),
            reserve: directory.join("reserve"),
            limits: Mutex::new(limits),
            full: Mutex::new(false),
        }
    }

    /// Whether there is space for a batch of about so many bytes.
    pub(super) fn has_room(&self, purpose: Purpose, bytes: usize) -> io::Result<bool> {
        let mut disk = Disk::of(&self.directory)?;
        // Once for the journal and once for the tables.
        let bytes = 2 * bytes as u64;
        disk.free = disk.free.saturating_sub(bytes);
        disk.used = disk.used.saturating_add(bytes);
        let limits = self.limits.lock().clone();
        let mut full = self.full.lock();
        let now_full = disk.is_over(&limits, *full);
        if now_full != *full {
            *full = now_full;
            if now_full {
                tracing::warn!(free = disk.free, "the disk of the streams is full: publishing stops");
            } else {
                tracing::info!(
                    free = disk.free,
                    "the disk of the streams has space again: publishing goes on"
                );
            }
        }
        Ok(match purpose {
            Purpose::Growth => !now_full,
            Purpose::Relief => !now_full || disk.free >= limits.min_free / 4,
        })
    }

    /// Looks whether the disk is full when nobody writes, for whoever asks how the store is.
    pub(super) fn look(&self) {
        if let Err(error) = self.has_room(Purpose::Growth, 0) {
            tracing::warn!(%error, "cannot see how much space is left for streams");
        }
    }

    /// Whether the disk counted as full when it was last looked at.
    pub(super) fn was_full(&self) -> bool {
        *self.full.lock()
    }

    /// Gives the reserve back to the disk.
    pub(super) fn release_reserve(&self) {
        if let Err(error) = fs::remove_file(&self.reserve)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot give back the space that was reserved for streams");
        }
    }

    /// Takes the reserve, if it is not taken and there is space.
    pub(super) fn take_reserve_if_possible(&self) {
        if let Err(error) = self.take_reserve() {
            tracing::warn!(%error, "cannot reserve disk space for streams");
        }
    }

    fn take_reserve(&self) -> io::Result<()> {
        let limits = self.limits.lock().clone();
        let size = fs::metadata(&self.reserve).map_or(0, |metadata| metadata.len());
        if limits.reserve == 0 || size == limits.reserve {
            return Ok(());
        }
        let disk = Disk::of(&self.directory)?;
        if disk.free < limits.min_free.saturating_add(limits.reserve) {
            return Ok(());
        }
        let file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.reserve)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, limits.reserve) {
            // A file system without preallocation has nothing to reserve.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => {
                self.release_reserve();
                Err(error.into())
            }
        }
    }

    #[cfg(test)]
    pub(super) fn set_limits(&self, limits: SpaceLimits) {
        *self.limits.lock() = limits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a disk of 1,000 bytes, so many used.
    fn disk(used: u64) -> Disk {
        Disk { free: 1000 - used, used }
    }

    #[test]
    fn high_and_low_water() {
        let limits = SpaceLimits { min_free: 10, max_used: 95, enough: 1000, gap: 2, reserve: 0 };
        assert!(!disk(950).is_over(&limits, false));
        assert!(disk(951).is_over(&limits, false));
        assert!(disk(931).is_over(&limits, true));
        assert!(!disk(930).is_over(&limits, true));
    }

    #[test]
    fn a_small_disk_keeps_the_least_that_is_needed() {
        let limits = SpaceLimits { min_free: 256, max_used: 100, enough: 1000, gap: 2, reserve: 0 };
        assert!(!disk(744).is_over(&limits, false));
        assert!(disk(745).is_over(&limits, false));
        assert!(disk(725).is_over(&limits, true));
        assert!(!disk(724).is_over(&limits, true));
    }

    #[test]
    fn a_large_disk_is_not_full_while_there_is_enough() {
        let limits = SpaceLimits { min_free: 5, max_used: 95, enough: 20, gap: 2, reserve: 0 };
        assert!(!disk(980).is_over(&limits, false));
        assert!(disk(981).is_over(&limits, false));
        assert!(disk(971).is_over(&limits, true));
        assert!(!disk(970).is_over(&limits, true));
    }
}
