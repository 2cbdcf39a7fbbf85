//! How JetStream is, for whoever watches over it.

use std::ops::RangeInclusive;

use super::{engine::Engine, store::StoreHealth, stream_config::Storage};

/// Sentences that are handed out at most.
const MAX_PROBLEMS: usize = 16;

/// Whether streams are whole and take messages. From memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JetStreamHealth {
    /// Whether messages are stored at this moment.
    pub writable: bool,
    /// Whether they are not because the disk is full.
    pub full: bool,
    /// What is wrong, a sentence each, for the operator: file names are among it. The first few; the log has all.
    pub problems: Vec<String>,
    /// Streams of which messages are damaged or gone, by name; the first few.
    pub damaged: Vec<DamagedStream>,
}

/// A stream of which messages are damaged or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedStream {
    /// Its name; none where nothing is left that says it.
    pub name: Option<String>,
    /// Where they are missing, ascending, a few ranges at most: all that are missing are within, some within may be there.
    pub missing: Vec<RangeInclusive<u64>>,
}

impl Engine {
    /// Whether the stores are whole, and everybody who works for them is there.
    pub(crate) fn health(&self) -> JetStreamHealth {
        let StoreHealth { problems, writable, full, lost } = self.store_health();
        let streams = if lost.is_empty() { Vec::new() } else { self.streams() };
        let name = |id| {
            let mut on_disk = streams.iter().filter(|stream| stream.storage == Storage::File);
            on_disk.find(|stream| stream.id == id).map(|stream| stream.name.to_string())
        };
        let mut damaged: Vec<_> =
            lost.into_iter().map(|(id, missing)| DamagedStream { name: name(id), missing }).collect();
        damaged.sort_by(|one, other| one.name.cmp(&other.name));
        JetStreamHealth {
            writable,
            full,
            problems: problems.into_iter().take(MAX_PROBLEMS).collect(),
            damaged,
        }
    }

    /// What is wrong, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        let StoreHealth { problems, writable, .. } = self.store_health();
        let full =
            || "JetStream does not take messages: the disk is full, or the store has failed".to_owned();
        problems.into_iter().next().or_else(|| (!writable).then(full))
    }
}
