//! Where the bus keeps its data: whether it may, whether nobody else can, and how much room there is.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use rustix::process::geteuid;

use super::Finding;
use crate::config::{Config, Plane};
use crate::guards::{DataDirectory, DataDirectoryError};

/// Less than this and something does not get stored soon.
pub(super) const LITTLE: u64 = 1024 * 1024 * 1024;
/// Less than this and the bus does not work.
pub(super) const NOTHING: u64 = 64 * 1024 * 1024;
pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![directory("data directory", config.paths.directory())];
    if !matches!(config.plane, Plane::External(_)) {
        let streams = &config.streams.directory;
        findings.push(directory("streams", streams));
        if let Err(error) = DataDirectory::check_streams(streams, &config.plane) {
            findings.push(Finding::failed("streams", error.to_string()));
        }
    }
    // In a cluster files are in a bucket.
    if !matches!(config.plane, Plane::Clustered(_)) {
        findings.push(directory("files", config.paths.files()));
    }
    findings
}

fn directory(what: &str, path: &Path) -> Finding {
    match DataDirectory::inspect(path) {
        Ok(()) => room(what, path, ""),
        Err(DataDirectoryError::ForeignOwner { owner, .. }) if geteuid().is_root() => {
            room(what, path, &format!(" (of user {owner}; this was run by root)"))
        }
        Err(error) => Finding::failed(what, error.to_string()),
    }
}

/// How much of the disk is left below the nearest directory that is there.
fn room(what: &str, path: &Path, remark: &str) -> Finding {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there =
        absolute.ancestors().find(|ancestor| ancestor.is_dir()).map_or_else(PathBuf::new, Path::to_owned);
    let made = if there == absolute { "" } else { ", made at the start" };
    let shown = path.display();
    let free = match statvfs(&there) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            return Finding::warning(what, format!("{shown}: how full the disk is is not known: {error}"));
        }
    };
    let text = format!("{shown}{made}{remark}: {} MiB free", free / MIB);
    if free < NOTHING {
        Finding::failed(what, format!("{text}: make room, or name another place"))
    } else if free < LITTLE {
        Finding::warning(what, format!("{text}: make room soon"))
    } else {
        Finding::ok(what, text)
    }
}
