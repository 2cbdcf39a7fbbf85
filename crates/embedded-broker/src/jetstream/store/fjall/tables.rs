//! Reads the engine's tables and value logs block by block, where the engine refuses to.
//!
//! A table begins with its data blocks, each with a checksum of its own. The engine needs the index at the end to find
//! them, and a manifest to find the table; whoever only wants all that is still whole needs neither.

use lsm_tree::{
    InternalValue, ValueType,
    coding::Decode as _,
    table::{
        Block, DataBlock,
        block::{BlockType, Header, decoder::ParsedItem as _},
    },
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// What the header of a block begins with.
const BLOCK: [u8; 4] = *b"LSM\x03";
/// What a value in a value log begins with, and how long what precedes its key is.
const VALUE: [u8; 4] = *b"BLOB";
const VALUE_HEADER: u64 = 4 + 16 + 8 + 2 + 4 + 4;

/// An entry of a table.
#[derive(Debug)]
pub(super) struct TableEntry {
    pub(super) key: lsm_tree::Slice,
    pub(super) engine_number: u64,
    pub(super) value: TableValue,
}

/// What a table has under a key.
#[derive(Debug)]
pub(super) enum TableValue {
    Here(lsm_tree::Slice),
    InLog(Place),
    Deleted,
}

/// Where in which value log a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    log: u64,
    offset: u64,
    length: u64,
}

/// The tables of a keyspace.
pub(super) fn list(keyspace: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(keyspace.join("tables")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut tables = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    tables.sort();
    Ok(tables)
}

/// Hands all entries of a table to `visit` that can be read. Tells whether that was all there are.
pub(super) fn read(path: &Path, mut visit: impl FnMut(TableEntry)) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let finder = memchr::memmem::Finder::new(&BLOCK);
    let mut is_whole = true;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match block(rest) {
            Some((block, _)) if block.header.block_type != BlockType::Data => break,
            Some((block, length)) => {
                let block = DataBlock::new(block);
                let items = block.iter().map(|item| item.materialize(block.as_slice()));
                for item in items {
                    match entry(item) {
                        Some(entry) => visit(entry),
                        None => is_whole = false,
                    }
                }
                at += length;
            }
            None => {
                is_whole = false;
                match finder.find(&rest[1..]) {
                    Some(next) => at += 1 + next,
                    None => break,
                }
            }
        }
    }
    Ok(is_whole)
}

/// The block that bytes begin with, and its length.
fn block(bytes: &[u8]) -> Option<(Block, usize)> {
    let header = Header::decode_from(&mut &*bytes).ok()?;
    let length = Header::serialized_len() + header.data_length as usize;
    // The length is that of a header whose checksum is right; but only what is there is allocated.
    let mut whole = bytes.get(..length)?;
    Some((Block::from_reader(&mut whole, NONE).ok()?, length))
}

const NONE: lsm_tree::CompressionType = lsm_tree::CompressionType::None;

fn entry(item: InternalValue) -> Option<TableEntry> {
    let value = match item.key.value_type {
        ValueType::Value => TableValue::Here(item.value),
        ValueType::Indirection => TableValue::InLog(Place::parse(&item.value)?),
        ValueType::Tombstone | ValueType::WeakTombstone => TableValue::Deleted,
    };
    Some(TableEntry { key: item.key.user_key, engine_number: item.key.seqno, value })
}

impl Place {
    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let offset = varint(&mut bytes)?;
        let log = varint(&mut bytes)?;
        let length = varint(&mut bytes)?;
        Some(Self { log, offset, length })
    }

    /// Reads a value. Whether it is right is for its record to say.
    pub(super) fn read(self, keyspace: &Path, key: &[u8]) -> io::Result<Vec<u8>> {
        let file = File::open(keyspace.join("blobs").join(self.log.to_string()))?;
        let header = VALUE_HEADER + key.len() as u64;
        if self.offset.saturating_add(header).saturating_add(self.length) > file.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut start = vec![0; header as usize];
        file.read_exact_at(&mut start, self.offset)?;
        if !start.starts_with(&VALUE) || !start.ends_with(key) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut value = vec![0; self.length as usize];
        file.read_exact_at(&mut value, self.offset + header)?;
        Ok(value)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
