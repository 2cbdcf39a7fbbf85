//! What was durable, written down beside the engine.
//!
//! The engine's recovery ends without a word at the first entry of a journal that it cannot read: rightly after a power
//! failure, wrongly when the disk lost what was synced long ago. So after journal syncs, at most every 100 ms, the
//! number of the last durable batch and the last durable sequence of each stream are written here, into one of two files
//! in turn, so that one is whole at any moment. A store that opens below its marks is damaged.
//!
//! A damage that was found is kept here as well, until the engine of streams has taken notice of it and written
//! something durable.

use super::{layout::sync_directory, record::Salt};
use crate::jetstream::store::{Seq, StreamId};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const MAGIC: [u8; 8] = *b"UBMARKS1";
const NAMES: [&str; 2] = ["marks.0", "marks.1"];
/// Gaps in the numbers of batches that are remembered. Journals are deleted in time, and their gaps with them.
const MAX_GAPS: usize = 64;

/// What was durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) salt: Salt,
    /// Number of the last batch.
    pub(super) batch: u64,
    /// Last sequence of each stream.
    pub(super) last: BTreeMap<StreamId, Seq>,
    /// Numbers of batches that are known to be lost, first and last.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Damage that was found, and that nobody has taken notice of yet.
    pub(super) damage: Option<Damage>,
}

/// What damage has done to messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Sequences among which some are lost, first and last.
    pub(super) lost: BTreeMap<StreamId, (Seq, Seq)>,
}

impl Damage {
    /// Adds what else is lost.
    pub(super) fn merge(&mut self, other: Self) {
        for (stream, (first, last)) in other.lost {
            self.lose(stream, first, last);
        }
    }

    /// Adds lost sequences of a stream.
    pub(super) fn lose(&mut self, stream: StreamId, first: Seq, last: Seq) {
        if first > last {
            return;
        }
        let range = self.lost.entry(stream).or_insert((first, last));
        *range = (range.0.min(first), range.1.max(last));
    }
}

impl Marks {
    pub(super) fn new(salt: Salt) -> Self {
        Self { salt, batch: 0, last: BTreeMap::new(), gaps: Vec::new(), damage: None }
    }

    /// Remembers that these batches are lost.
    pub(super) fn add_gap(&mut self, first: u64, last: u64) {
        if first <= last && !self.gaps.contains(&(first, last)) {
            self.gaps.push((first, last));
            let excess = self.gaps.len().saturating_sub(MAX_GAPS);
            self.gaps.drain(..excess);
        }
    }

    /// Whether all batches of a range are known to be lost.
    pub(super) fn knows_gap(&self, first: u64, last: u64) -> bool {
        self.gaps.iter().any(|(from, to)| *from <= first && last <= *to)
    }

    fn encode(&self, generation: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 12 * self.last.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes.extend_from_slice(&self.salt.0);
        bytes.extend_from_slice(&self.batch.to_le_bytes());
        put_count(&mut bytes, self.last.len());
        for (stream, seq) in &self.last {
            bytes.extend_from_slice(&stream.0.to_le_bytes());
            bytes.extend_from_slice(&seq.to_le_bytes());
        }
        put_count(&mut bytes, self.gaps.len());
        for (first, last) in &self.gaps {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&last.to_le_bytes());
        }
        bytes.push(u8::from(self.damage.is_some()));
        if let Some(damage) = &self.damage {
            put_count(&mut bytes, damage.lost.len());
            for (stream, (first, last)) in &damage.lost {
                bytes.extend_from_slice(&stream.0.to_le_bytes());
                bytes.extend_from_slice(&first.to_le_bytes());
                bytes.extend_from_slice(&last.to_le_bytes());
            }
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let (body, checksum) = bytes.split_last_chunk()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let mut rest = body.strip_prefix(&MAGIC)?;
        let generation = take_u64(&mut rest)?;
        let mut marks = Self::new(Salt(take_u64(&mut rest)?.to_le_bytes()));
        marks.batch = take_u64(&mut rest)?;
        for _ in 0..take_u32(&mut rest)? {
            let stream = StreamId(take_u32(&mut rest)?);
            marks.last.insert(stream, take_u64(&mut rest)?);
        }
        for _ in 0..take_u32(&mut rest)? {
            marks.gaps.push((take_u64(&mut rest)?, take_u64(&mut rest)?));
        }
        let (damaged, mut rest) = rest.split_first()?;
        if *damaged == 1 {
            let mut damage = Damage::default();
            for _ in 0..take_u32(&mut rest)? {
                let stream = StreamId(take_u32(&mut rest)?);
                damage.lost.insert(stream, (take_u64(&mut rest)?, take_u64(&mut rest)?));
            }
            marks.damage = Some(damage);
        }
        rest.is_empty().then_some((generation, marks))
    }
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    // Streams have four-byte numbers, so there are never more.
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u32::from_le_bytes(*number))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (number, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u64::from_le_bytes(*number))
}

/// The two files.
#[derive(Debug)]
pub(super) struct MarksFile {
    paths: [PathBuf; 2],
    generation: u64,
}

/// What the files say.
#[derive(Debug)]
pub(super) struct FoundMarks {
    /// The newest marks that can be read.
    pub(super) marks: Option<Marks>,
    /// Whether a file is there that cannot be read. After a power failure that is one at most, so this alone says nothing.
    pub(super) unreadable: usize,
}

impl MarksFile {
    /// Reads what is there.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, FoundMarks)> {
        let paths = NAMES.map(|name| directory.join(name));
        let mut found = FoundMarks { marks: None, unreadable: 0 };
        let mut newest = 0;
        for path in &paths {
            let bytes = match fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match Marks::decode(&bytes) {
                Some((generation, marks)) if found.marks.is_none() || generation > newest => {
                    newest = generation;
                    found.marks = Some(marks);
                }
                Some(_) => {}
                None => found.unreadable += 1,
            }
        }
        Ok((Self { paths, generation: newest }, found))
    }

    /// Writes marks over the older ones, durably.
    pub(super) fn write(&mut self, marks: &Marks) -> io::Result<()> {
        let generation = self.generation + 1;
        let path = &self.paths[usize::from(generation % 2 == 1)];
        let is_new = !path.exists();
        let bytes = marks.encode(generation);
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()?;
        if is_new && let Some(directory) = path.parent() {
            sync_directory(directory)?;
        }
        self.generation = generation;
        Ok(())
    }

    /// Bytes that writing these marks takes.
    pub(super) fn size(marks: &Marks) -> usize {
        64 + 12 * marks.last.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        let mut marks = Marks::new(Salt([7; 8]));
        marks.batch = 300;
        marks.last.insert(StreamId(1), 1000);
        marks.last.insert(StreamId(9), 1);
        marks.add_gap(5, 9);
        let mut damage = Damage::default();
        damage.lose(StreamId(9), 4, 6);
        damage.lose(StreamId(9), 1, 2);
        marks.damage = Some(damage);
        marks
    }

    #[test]
    fn the_newest_whole_marks_count() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, found) = MarksFile::open(directory.path()).unwrap();
        assert_eq!(found.marks, None);
        let older = Marks::new(Salt([7; 8]));
        file.write(&older).unwrap();
        file.write(&marks()).unwrap();
        let (file, found) = MarksFile::open(directory.path()).unwrap();
        assert_eq!(found.marks, Some(marks()));
        let newest = &file.paths[0];
        let bytes = fs::read(newest).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            fs::write(newest, &damaged).unwrap();
            let found = MarksFile::open(directory.path()).unwrap().1;
            assert_eq!((found.marks, found.unreadable), (Some(older.clone()), 1), "byte {at}");
            fs::write(newest, &bytes[..at]).unwrap();
            let found = MarksFile::open(directory.path()).unwrap().1;
            assert_eq!(found.marks, Some(older.clone()), "{at} bytes");
        }
    }
}
