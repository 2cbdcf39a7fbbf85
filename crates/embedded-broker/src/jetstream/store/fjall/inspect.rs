//! Looks at what the engine reads first, before it does.
//!
//! The engine deletes tables that its manifest does not name, but does not check the manifest. So that is done here:
//! what does not fit is not shown to the engine, but salvaged.

use super::{
    engine::STATE,
    keys,
    record::{self, Salt},
    tables::{self, TableValue},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::xxh3_128;

const VERSION: [u8; 4] = *b"FJL\x03";

/// A file without which the engine would not see all of its data.
pub(super) fn unfit_file(database: &Path) -> io::Result<Option<PathBuf>> {
    let version = database.join("version");
    if read(&version)?.is_none_or(|bytes| !bytes.starts_with(&VERSION)) {
        return Ok(Some(version));
    }
    // The engine's own, then ours.
    for keyspace in 0..=STATE {
        let keyspace = keyspace_directory(database, keyspace);
        let current = keyspace.join("current");
        let Some((manifest, checksum)) = read(&current)?.as_deref().and_then(parse) else {
            return Ok(Some(current));
        };
        let manifest = keyspace.join(format!("v{manifest}"));
        if read(&manifest)?.is_none_or(|bytes| xxh3_128(&bytes) != checksum) {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

/// A table that cannot be read as a whole, or whose values cannot. This reads everything.
pub(super) fn unfit_table(database: &Path, salt: Salt) -> io::Result<Option<PathBuf>> {
    for keyspace in 0..=STATE {
        let directory = keyspace_directory(database, keyspace);
        for table in tables::list(&directory)? {
            let mut are_values_whole = true;
            let is_whole = tables::read(&table, |entry| {
                if let (TableValue::InLog(place), Some(stream), Some(seq)) =
                    (entry.value, keys::stream_of(&entry.key), keys::seq_of(&entry.key))
                {
                    let value = place.read(&directory, &entry.key).ok().map(fjall::Slice::from);
                    let record = value.and_then(|value| record::decode(salt, stream, seq, value));
                    are_values_whole &= record.is_some();
                }
            });
            if !are_values_whole || !matches!(is_whole, Ok(true)) {
                return Ok(Some(table));
            }
        }
    }
    Ok(None)
}

/// Where a keyspace is.
pub(super) fn keyspace_directory(database: &Path, keyspace: u64) -> PathBuf {
    database.join("keyspaces").join(keyspace.to_string())
}

fn parse(current: &[u8]) -> Option<(u64, u128)> {
    let (manifest, rest) = current.split_first_chunk()?;
    let (checksum, kind) = rest.split_first_chunk()?;
    (kind == [0]).then_some((u64::from_le_bytes(*manifest), u128::from_le_bytes(*checksum)))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
