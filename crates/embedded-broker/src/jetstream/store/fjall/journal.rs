//! Reads the engine's journals before the engine does.
//!
//! The engine stops at the first entry it cannot read, without saying so, and refuses to open when a batch has the wrong
//! checksum. Here each batch is checked by the engine's checksum and by its [`Head`]: whether the one before it is
//! there, and whether its place in the engine's order is right. What is torn at the end is cut off; what is damaged
//! before is taken out, and told.
//!
//! What is behind the marks in the last journal was perhaps never synced, or its sync has failed: then the operating system
//! shows what is not on the disk, and says of a later sync that all is well. So it is written again before anybody sees it.
//!
//! A batch is: 1, entries (4), the engine's number (8); for each entry 2, kind (1), compression (1), keyspace (8), length
//! of the key (2), of the value (4), of the stored value (4), key, value; then 3, xxh3 of all entries (8), "FJL", 3.

use super::{
    batch::Head,
    engine::MESSAGES,
    keys,
    layout::{replace, rewrite, sync_directory},
    marks::Marks,
    record::Salt,
};
use crate::jetstream::store::{Seq, StreamId};
use rustix::fs::SeekFrom;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _},
    ops::Range,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ENTRY: u8 = 2;
const END: u8 = 3;
const TRAILER: [u8; 4] = *b"FJL\x03";
/// The engine numbers a batch of ours by at most this much more than its head says: it numbers flushes too.
const MAX_AHEAD: u64 = 1 << 20;

/// What an entry does with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    Deleted,
}

/// One entry of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) keyspace: u64,
    pub(super) kind: Kind,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

/// A batch that is as it was written.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) head: Head,
    pub(super) engine_number: u64,
    pub(super) entries: Vec<Entry<'a>>,
    /// Where it is in its journal.
    place: Range<usize>,
}

/// Takes fields off the front of bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }
}

impl<'a> Batch<'a> {
    /// Reads the batch that begins at a place; none when there is none that can be trusted.
    pub(super) fn read(salt: Salt, journal: &'a [u8], at: usize) -> Option<Self> {
        let mut cursor = Cursor { bytes: journal, at };
        if cursor.array()? != [START] {
            return None;
        }
        let count = u32::from_le_bytes(cursor.array()?);
        let engine_number = u64::from_le_bytes(cursor.array()?);
        let first = cursor.at;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(Self::entry(&mut cursor)?);
        }
        let checksum = xxh3_64(&journal[first..cursor.at]);
        let whole = cursor.array()? == [END]
            && u64::from_le_bytes(cursor.array()?) == checksum
            && cursor.array()? == TRAILER;
        let first = entries.first().filter(|entry| Head::is_at(entry.keyspace, entry.key))?;
        let head = Head::decode(salt, first.key, first.value)?;
        let ahead = engine_number.checked_sub(head.engine_number)?;
        (whole && ahead < MAX_AHEAD).then_some(Self { head, engine_number, entries, place: at..cursor.at })
    }

    fn entry(cursor: &mut Cursor<'a>) -> Option<Entry<'a>> {
        let [tag, kind, compression] = cursor.array()?;
        let kind = match kind {
            0 => Kind::Value,
            1 | 2 => Kind::Deleted,
            _ => return None,
        };
        let keyspace = u64::from_le_bytes(cursor.array()?);
        let key = usize::from(u16::from_le_bytes(cursor.array()?));
        let value = u32::from_le_bytes(cursor.array()?);
        let stored = u32::from_le_bytes(cursor.array()?);
        if tag != ENTRY || compression != 0 || value != stored {
            return None;
        }
        let key = cursor.take(key)?;
        let value = cursor.take(value as usize)?;
        Some(Entry { keyspace, kind, key, value })
    }

    /// Reads the next batch after bytes that are none.
    fn find(salt: Salt, journal: &'a [u8], after: usize) -> Option<Self> {
        let finder = memchr::memmem::Finder::new(&TRAILER);
        let ends = finder.find_iter(journal.get(after..)?);
        ends.map(|end| after + end + TRAILER.len()).find_map(|start| Self::read(salt, journal, start))
    }

    /// First and last sequence of each stream's messages in it.
    fn messages(&self) -> BTreeMap<StreamId, (Seq, Seq)> {
        let mut messages = BTreeMap::new();
        for entry in &self.entries {
            if entry.keyspace == MESSAGES
                && entry.kind == Kind::Value
                && let (Some(stream), Some(seq)) = (keys::stream_of(entry.key), keys::seq_of(entry.key))
            {
                let range = messages.entry(stream).or_insert((seq, seq));
                *range = (range.0.min(seq), range.1.max(seq));
            }
        }
        messages
    }
}

/// The batches of a journal that was checked.
pub(super) fn batches(salt: Salt, journal: &[u8]) -> impl Iterator<Item = Batch<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let batch = Batch::read(salt, journal, at)?;
        at = batch.place.end;
        Some(batch)
    })
}

/// Batches that are missing between others.
#[derive(Debug, Default)]
pub(super) struct Hole {
    /// For each stream the last sequence before it, if a journal names one.
    pub(super) before: BTreeMap<StreamId, Seq>,
    /// For each stream the first sequence after it, if a journal names one.
    pub(super) after: BTreeMap<StreamId, Seq>,
}

/// What the journals were like.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Number of the last batch in them.
    pub(super) last: Option<u64>,
    pub(super) holes: Vec<Hole>,
    /// Gaps in the numbers of batches that are new.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Journals that were damaged.
    pub(super) damaged: Vec<PathBuf>,
}

/// The journals of a database, oldest first.
pub(super) fn list(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            journals.push((number, path));
        }
    }
    // The engine would not start with one whose name is not a number; that cannot be one of its own.
    for (_, path) in journals.iter().filter(|(number, _)| number.is_none()) {
        fs::rename(path, path.with_extension("unknown"))?;
    }
    journals.retain(|(number, _)| number.is_some());
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// What was written to a journal. A new one is 64 MiB of room that is not on the disk and need not be in memory.
fn read_written(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut end = 0;
    // Where the file system knows of no holes, all of the file is said to be data.
    loop {
        match rustix::fs::seek(&file, SeekFrom::Data(end)) {
            Ok(data) => end = rustix::fs::seek(&file, SeekFrom::Hole(data))?,
            // No data behind this place.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        }
    }
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(end).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks all journals, and cuts out of them what the engine is not to see. `keep` gets a journal before that, if it is
/// damage and not merely a torn end.
pub(super) fn check(
    database: &Path,
    salt: Salt,
    marks: &Marks,
    mut keep: impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<Checked> {
    let journals = list(database)?;
    let mut check = Check {
        salt,
        marks,
        checked: Checked::default(),
        last_of: BTreeMap::new(),
        engine: None,
        unproven: None,
    };
    for (index, path) in journals.iter().enumerate() {
        let bytes = read_written(path)?;
        // All that is in a journal was synced before the next one was begun.
        let is_sealed = index + 1 < journals.len();
        check.unproven = None;
        match check.journal(&bytes, is_sealed) {
            Outcome::Whole => check.prove(path, &bytes, is_sealed)?,
            Outcome::Torn { end, is_doubtful } => {
                if is_doubtful {
                    keep(path)?;
                }
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(end as u64)?;
                file.sync_all()?;
                sync_directory(database)?;
                check.prove(path, &bytes, is_sealed)?;
            }
            Outcome::Damaged { whole } => {
                keep(path)?;
                let mut rest = Vec::with_capacity(bytes.len());
                for place in whole {
                    rest.extend_from_slice(&bytes[place]);
                }
                replace(path, &rest)?;
                check.checked.damaged.push(path.clone());
            }
        }
    }
    Ok(check.checked)
}

enum Outcome {
    Whole,
    /// It ends in the middle of a batch that was never synced, as far as one can see.
    Torn {
        end: usize,
        /// One cannot see much.
        is_doubtful: bool,
    },
    /// Only these parts are as they were written.
    Damaged {
        whole: Vec<Range<usize>>,
    },
}

struct Check<'a> {
    salt: Salt,
    marks: &'a Marks,
    checked: Checked,
    last_of: BTreeMap<StreamId, Seq>,
    engine: Option<u64>,
    /// Where in this journal the batches are that nothing says to be durable.
    unproven: Option<Range<usize>>,
}

/// Where in a journal a batch was found.
#[derive(Clone, Copy)]
struct Found {
    is_first: bool,
    after_damage: bool,
    is_sealed: bool,
}

impl Check<'_> {
    fn journal(&mut self, bytes: &[u8], is_sealed: bool) -> Outcome {
        // Room that was made for more is zero.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut whole: Vec<Range<usize>> = Vec::new();
        let mut is_damaged = false;
        let mut at = 0;
        while at < end {
            let here = Batch::read(self.salt, bytes, at);
            let after_damage = here.is_none();
            let found = Found { is_first: at == 0, after_damage, is_sealed };
            let next = here.or_else(|| Batch::find(self.salt, bytes, at));
            let Some(batch) = next.filter(|batch| self.follows(batch, found)) else {
                return self.stop(at, is_sealed, is_damaged, whole);
            };
            is_damaged |= after_damage;
            self.accept(&batch);
            at = batch.place.end;
            match whole.last_mut() {
                Some(last) if last.end == batch.place.start => last.end = at,
                _ => whole.push(batch.place),
            }
        }
        if is_damaged { Outcome::Damaged { whole } } else { Outcome::Whole }
    }

    /// There is more in a journal, but nothing that can be kept.
    fn stop(&mut self, at: usize, is_sealed: bool, was_damaged: bool, whole: Vec<Range<usize>>) -> Outcome {
        // What was never synced may be torn; what was, may not.
        let is_durable = is_sealed || self.checked.last.is_some_and(|last| last < self.marks.batch);
        if is_durable {
            self.checked.holes.push(Hole { before: self.last_of.clone(), after: BTreeMap::new() });
        }
        if is_durable || was_damaged {
            Outcome::Damaged { whole }
        } else {
            Outcome::Torn { end: at, is_doubtful: self.checked.last.is_none() }
        }
    }

    /// Whether a batch may be kept, with whatever is missing before it noted.
    fn follows(&mut self, batch: &Batch<'_>, found: Found) -> bool {
        let number = batch.head.number;
        let in_order = self.engine.is_none_or(|engine| engine < batch.engine_number)
            && self.checked.last.is_none_or(|last| last < number);
        if !in_order {
            return false;
        }
        let (first, last) = match self.checked.last {
            Some(last) if last + 1 == number => return true,
            Some(last) => (last + 1, number - 1),
            // It cannot be seen how many there were before the first that can be read.
            None if found.after_damage => (number.saturating_sub(1), number.saturating_sub(1)),
            None => return true,
        };
        if !found.after_damage && self.marks.knows_gap(first, last) {
            return true;
        }
        // An earlier journal was synced before this one was begun.
        let is_durable =
            found.is_sealed || last <= self.marks.batch || (found.is_first && !found.after_damage);
        if is_durable {
            self.checked.gaps.push((first, last));
            self.checked.holes.push(Hole { before: self.last_of.clone(), after: BTreeMap::new() });
        }
        // Else something is missing before it that was not synced, so it was not synced either.
        is_durable
    }

    /// Makes what is in the last journal durable that may not be.
    fn prove(&mut self, path: &Path, bytes: &[u8], is_sealed: bool) -> io::Result<()> {
        match self.unproven.take() {
            Some(place) if !is_sealed => rewrite(path, place.start as u64, &bytes[place]),
            _ => Ok(()),
        }
    }

    fn accept(&mut self, batch: &Batch<'_>) {
        if batch.head.number > self.marks.batch {
            let start = self.unproven.as_ref().map_or(batch.place.start, |place| place.start);
            self.unproven = Some(start..batch.place.end);
        }
        self.checked.last = Some(batch.head.number);
        self.engine = Some(batch.engine_number);
        for (stream, (first, last)) in batch.messages() {
            for hole in &mut self.checked.holes {
                hole.after.entry(stream).or_insert(first);
            }
            self.last_of.insert(stream, last);
        }
    }
}
