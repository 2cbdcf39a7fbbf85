//! Where the bus that was started here keeps its users and rooms, for commands that run while it is stopped: they are
//! told where its data is, and not all of its settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use busauth::private_file;

const SQLITE: &str = "sqlite";
const CLUSTER: &str = "cluster";
const EXTERNAL: &str = "external";
const EXTERNAL_KV: &str = "external kv";
const KV: &str = "kv ";

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreNote {
    /// In the database.
    Sqlite,
    /// In streams of the embedded data plane, in this directory.
    Kv {
        /// The directory of the streams.
        streams: PathBuf,
    },
    /// In streams that the nodes of a cluster share.
    Cluster,
    /// In the database, with rights enforced at a NATS that somebody else runs.
    External,
    /// In streams of that NATS.
    ExternalKv,
}

/// The note cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{}, which says where users and rooms are kept, cannot be used: {source}", .path.display())]
pub struct StoreNoteError {
    path: PathBuf,
    source: io::Error,
}

impl StoreNote {
    /// Writes the note, in place of the one before.
    pub(crate) fn write(&self, path: &Path) -> Result<(), StoreNoteError> {
        let text = match self {
            Self::Sqlite => SQLITE.to_owned(),
            Self::Cluster => CLUSTER.to_owned(),
            Self::External => EXTERNAL.to_owned(),
            Self::ExternalKv => EXTERNAL_KV.to_owned(),
            Self::Kv { streams } => {
                // The commands may be started in another directory.
                let streams = std::path::absolute(streams).unwrap_or_else(|_| streams.clone());
                format!("{KV}{}", streams.display())
            }
        };
        private_file::replace(path, format!("{text}\n").as_bytes())
            .map_err(|source| StoreNoteError { path: path.to_owned(), source })
    }

    /// Reads it; `None` where no bus was started yet, or by a program that did not write one.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, StoreNoteError> {
        let failed = |source| StoreNoteError { path: path.to_owned(), source };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match text.trim_end_matches('\n') {
            SQLITE => Ok(Some(Self::Sqlite)),
            CLUSTER => Ok(Some(Self::Cluster)),
            EXTERNAL => Ok(Some(Self::External)),
            EXTERNAL_KV => Ok(Some(Self::ExternalKv)),
            other => match other.strip_prefix(KV) {
                Some(streams) => Ok(Some(Self::Kv { streams: PathBuf::from(streams) })),
                None => {
                    Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it says what is not known here")))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("note");
        assert_eq!(StoreNote::read(&path).unwrap(), None);
        for note in [
            StoreNote::Sqlite,
            StoreNote::Kv { streams: PathBuf::from("/a b/c") },
            StoreNote::Cluster,
            StoreNote::External,
            StoreNote::ExternalKv,
        ] {
            note.write(&path).unwrap();
            assert_eq!(StoreNote::read(&path).unwrap(), Some(note));
        }
        fs::write(&path, "something else").unwrap();
        assert!(StoreNote::read(&path).is_err());
    }
}
