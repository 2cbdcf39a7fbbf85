//! Whether there is room on the disk of a node for its server to store anything.

use std::{io, path::Path};

use busauth::private_file;

const MIB: u64 = 1024 * 1024;
/// Less is never enough. A server that rewrites a file of messages, of 8 MiB at most, writes the new one beside the old
/// one, and a server that comes back does so for several streams at once while it fetches what it has missed.
const LEAST: u64 = 64 * MIB;
/// The part of a disk that has to be free: as many parts of the same size are full. With less it would soon be full again.
const PART: u64 = 20;
/// More is not asked for, however large the disk is.
const ENOUGH: u64 = 1024 * MIB;
/// What is written to see whether anything can be: some blocks.
const TRIED: usize = 64 * 1024;

/// Why a server would store nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSpace {
    /// Too little is free.
    #[error("{} MiB have to be free, {} MiB are", .needed / MIB, .free / MIB)]
    Little {
        /// Bytes.
        free: u64,
        /// Bytes.
        needed: u64,
    },
    /// It is not for lack of space.
    #[error("its directory cannot be written to: {0}")]
    Unwritable(#[from] io::Error),
}

/// Looks how much is free in a directory, and writes a little there: a quota, or a disk that has become read-only, does not
/// show otherwise.
pub(crate) fn look(directory: &Path) -> Result<(), NoSpace> {
    let disk = rustix::fs::statvfs(directory).map_err(io::Error::from)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = needed(disk.f_blocks.saturating_mul(disk.f_frsize));
    if free < needed {
        return Err(NoSpace::Little { free, needed });
    }
    let file = directory.join("space");
    private_file::replace(&file, &vec![0; TRIED])?;
    std::fs::remove_file(&file)?;
    Ok(())
}

fn needed(size: u64) -> u64 {
    (size / PART).clamp(LEAST, ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_disk_is_needed_within_bounds() {
        for (size, is_needed) in [(0, 64), (512, 64), (10_000, 500), (1_000_000, 1024)] {
            assert_eq!(needed(size * MIB), is_needed * MIB, "{size} MiB");
        }
    }

    #[test]
    fn nothing_is_left_of_what_was_tried() {
        let directory = tempfile::tempdir().unwrap();
        look(directory.path()).unwrap();
        assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
        let missing = look(&directory.path().join("missing")).unwrap_err();
        assert!(matches!(missing, NoSpace::Unwritable(_)), "{missing}");
    }
}
