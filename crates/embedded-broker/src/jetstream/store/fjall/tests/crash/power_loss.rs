//! A power failure for one process: what it changed and did not sync is undone, in part.
//!
//! A small library in C is preloaded into the process. It logs changes below a directory, and what was synced. When the
//! process is dead, [`PowerLoss::strike`] decides at random what of the rest had reached the disk: of each page of a
//! file any of the states it was in since its last sync; of names, as a journaling file system does, the changes up to
//! some moment, and those that were synced.

use rand::{RngExt as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

const SHIM: &str = include_str!("shim.c");
const PAGE: u64 = 4096;

/// Files of one experiment.
pub(super) struct PowerLoss {
    directory: PathBuf,
    log: PathBuf,
    graves: PathBuf,
    library: PathBuf,
}

/// What a power failure did.
#[derive(Debug, Default)]
pub(super) struct Struck {
    /// Pages of files that lost something.
    pub(super) pages: usize,
    /// Names that were as before.
    pub(super) names: usize,
    /// Files that were renamed, whether that was durable or not.
    pub(super) renamed: usize,
}

#[derive(Debug)]
enum Change {
    Write { inode: u64, offset: u64, length: u64, old: Vec<u8> },
    Create { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    Unlink { path: PathBuf, kept: Option<PathBuf> },
    MakeDirectory { path: PathBuf },
}

impl PowerLoss {
    /// Builds the library in `work`, which is on the file system of `directory`, but not in it.
    pub(super) fn prepare(work: &Path, directory: &Path, cc: &mut Command) -> io::Result<Self> {
        let source = work.join("shim.c");
        let library = work.join("shim.so");
        fs::write(&source, SHIM)?;
        let built =
            cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").status()?;
        if !built.success() {
            return Err(io::Error::other("the compiler refuses the library"));
        }
        let graves = work.join("graves");
        fs::create_dir(&graves)?;
        Ok(Self { directory: directory.to_path_buf(), log: work.join("log"), graves, library })
    }

    /// Has a child run under it.
    pub(super) fn apply_to(&self, child: &mut Command) {
        child
            .env("LD_PRELOAD", &self.library)
            .env("POWER_LOSS_DIRECTORY", &self.directory)
            .env("POWER_LOSS_LOG", &self.log)
            .env("POWER_LOSS_GRAVES", &self.graves);
    }

    /// Has a sync of a journal fail in a child, the so-and-so-many-th one.
    pub(super) fn fail_sync(child: &mut Command, number: u32) {
        child.env("POWER_LOSS_FAILS", number.to_string());
    }

    /// Forgets what was logged: all of it reached the disk.
    pub(super) fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::remove_dir_all(&self.graves)?;
        fs::create_dir(&self.graves)
    }

    /// The power fails. The child is dead.
    pub(super) fn strike(&self, random: &mut StdRng, child: u32) -> io::Result<Struck> {
        let (changes, is_durable) = self.read_log(child)?;
        let mut struck = Struck::default();
        let inodes = self.inodes()?;
        let mut pages: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        let mut names = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            if let Change::Write { inode, offset, length, .. } = change {
                for page in offset / PAGE..(offset + length).div_ceil(PAGE) {
                    pages.entry((*inode, page)).or_default().push(index);
                }
            } else {
                struck.renamed += usize::from(matches!(change, Change::Rename { .. }));
                names.push(index);
            }
        }
        for ((inode, page), writes) in pages {
            let Some(path) = inodes.get(&inode) else { continue };
            // Whatever was durable stays, and with it all before it.
            let first = writes.iter().rposition(|index| is_durable[*index]).map_or(0, |last| last + 1);
            let undone = random.random_range(first..=writes.len());
            if undone < writes.len() {
                struck.pages += 1;
                let file = OpenOptions::new().write(true).open(path)?;
                for index in writes[undone..].iter().rev() {
                    undo_write(&file, &changes[*index], page)?;
                }
            }
        }
        let first = names.get(random.random_range(0..=names.len())).copied().unwrap_or(changes.len());
        for index in names.into_iter().rev().filter(|index| *index >= first && !is_durable[*index]) {
            struck.names += usize::from(undo_name(&changes[index]).is_ok());
        }
        Ok(struck)
    }

    /// All changes in order, and which of them are durable.
    fn read_log(&self, child: u32) -> io::Result<(Vec<Change>, Vec<bool>)> {
        let bytes = match fs::read(&self.log) {
            // It died before it changed anything.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        let mut rest = bytes.as_slice();
        let mut changes = Vec::new();
        let mut is_durable: Vec<bool> = Vec::new();
        // A sync that failed has lost it: a later one does not make it durable.
        let mut is_lost: Vec<bool> = Vec::new();
        // For each change which file it is about, and in which directory.
        let mut about: Vec<(u64, u64)> = Vec::new();
        // The library counts records, syncs among them.
        let mut changes_before: Vec<usize> = Vec::new();
        while let Some((header, tail)) = rest.split_first_chunk::<32>() {
            let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
            let length = u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
            let (inode, a, b) = (number(8), number(16), number(24));
            // The process may have died while it wrote the last record; then it did not make that change.
            let Some(payload) = tail.get(..length) else { break };
            rest = &tail[length..];
            changes_before.push(changes.len());
            let path = || PathBuf::from(String::from_utf8_lossy(payload).into_owned());
            let grave = |number: u64| (number > 0).then(|| self.graves.join(format!("{child}-{number}")));
            let change = match header[0] {
                kind @ (b'S' | b'F') => {
                    let synced = changes_before.get(a as usize).copied().unwrap_or(changes.len());
                    let concerned =
                        (0..synced).filter(|index| [about[*index].0, about[*index].1].contains(&inode));
                    for index in concerned {
                        is_durable[index] |= kind == b'S' && !is_lost[index];
                        is_lost[index] |= kind == b'F' && !is_durable[index];
                    }
                    continue;
                }
                b'W' => Change::Write { inode, offset: a, length: b, old: payload.to_vec() },
                b'C' => Change::Create { path: path() },
                b'R' => {
                    let text = String::from_utf8_lossy(payload).into_owned();
                    let (from, to) = text.split_once('\0').unwrap();
                    Change::Rename { from: from.into(), to: to.into(), replaced: grave(b) }
                }
                b'U' => Change::Unlink { path: path(), kept: grave(b) },
                b'M' => Change::MakeDirectory { path: path() },
                other => return Err(io::Error::other(format!("a record of type {other}"))),
            };
            about.push(match change {
                Change::Write { .. } => (inode, 0),
                // Syncing a new file makes its name durable too, on the file systems that people have.
                Change::Create { .. } => (inode, a),
                _ => (0, a),
            });
            changes.push(change);
            is_durable.push(false);
            is_lost.push(false);
        }
        Ok((changes, is_durable))
    }

    /// A path to each file that exists, by whatever name.
    fn inodes(&self) -> io::Result<HashMap<u64, PathBuf>> {
        let mut found = HashMap::new();
        let mut directories = vec![self.directory.clone(), self.graves.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                } else {
                    found.insert(entry.metadata()?.ino(), entry.path());
                }
            }
        }
        Ok(found)
    }
}

/// Puts back what a write found in a page.
fn undo_write(file: &File, change: &Change, page: u64) -> io::Result<()> {
    let Change::Write { offset, length, old, .. } = change else { return Ok(()) };
    let start = (page * PAGE).max(*offset);
    let end = ((page + 1) * PAGE).min(offset + length).min(file.metadata()?.len());
    if start >= end {
        return Ok(());
    }
    // What was beyond the end of the file reads as zeros.
    let at = |position: u64| old.get((position - offset) as usize).copied().unwrap_or(0);
    let bytes: Vec<u8> = (start..end).map(at).collect();
    file.write_all_at(&bytes, start)
}

fn undo_name(change: &Change) -> io::Result<()> {
    match change {
        Change::Write { .. } => Ok(()),
        Change::Create { path } => fs::remove_file(path),
        Change::Rename { from, to, replaced } => {
            fs::rename(to, from)?;
            replaced.as_ref().map_or(Ok(()), |replaced| fs::hard_link(replaced, to))
        }
        Change::Unlink { path, kept } => kept.as_ref().map_or(Ok(()), |kept| fs::hard_link(kept, path)),
        Change::MakeDirectory { path } => fs::remove_dir(path),
    }
}
