//! Comparing what two parties know about one log.
//!
//! Because every entry names the one before it, two logs that agree at one number agree everywhere before it.
//! So one hash is enough to compare two histories, and the place where they part is found by bisection.

use super::{RoomLog, index_of};
use crate::head::{EntryHash, Head};

/// Two entries for one place of a room's log. Members on the two sides cannot accept each other's messages
/// any more.
///
/// Keep both logs as evidence and stop sending in the room until a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room's log has two different entries {seq}: {ours} here and {theirs} there")]
pub struct Fork {
    /// The place.
    pub seq: u64,
    /// Hash of the entry that we hold.
    pub ours: EntryHash,
    /// Hash of the entry that somebody else holds.
    pub theirs: EntryHash,
}

/// How somebody else's head relates to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadComparison {
    /// They stand where we do.
    Same,
    /// They have an earlier part of our log.
    Behind,
    /// They claim more entries than we have: fetch these before anything else.
    Ahead,
    /// They have another log.
    Forked(Fork),
}

/// What a server did when the log it offers is not what it offered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogLie {
    /// Entries that were there are gone.
    #[error("the server offers the log only up to entry {}, but entry {} was there before", offered.seq, pinned.seq)]
    RolledBack {
        /// What was stored when the log was last seen.
        pinned: Head,
        /// What is offered now.
        offered: Head,
    },
    /// Entries that were there are others now.
    #[error(transparent)]
    Forked(#[from] Fork),
}

impl RoomLog {
    /// How `head` relates to this log.
    pub fn compare(&self, head: &Head) -> HeadComparison {
        match self.hash_at(head.seq) {
            None => HeadComparison::Ahead,
            Some(ours) if ours != head.hash => {
                HeadComparison::Forked(Fork { seq: head.seq, ours, theirs: head.hash })
            }
            Some(_) if head.seq == self.head().seq => HeadComparison::Same,
            Some(_) => HeadComparison::Behind,
        }
    }

    /// Checks a log that a server offers (this one) against the head that was stored when it was last seen.
    pub fn check_pinned(&self, pinned: &Head) -> Result<(), LogLie> {
        match self.hash_at(pinned.seq) {
            None => Err(LogLie::RolledBack { pinned: *pinned, offered: self.head() }),
            Some(offered) if offered != pinned.hash => {
                Err(Fork { seq: pinned.seq, ours: pinned.hash, theirs: offered }.into())
            }
            Some(_) => Ok(()),
        }
    }

    /// The first place where two logs differ; `None` while one is the beginning of the other.
    pub fn fork_with(&self, other: &Self) -> Option<Fork> {
        let common = self.entries.len().min(other.entries.len());
        let numbers: Vec<u64> = (1..=common as u64).collect();
        let agreed = numbers.partition_point(|seq| self.hash_at(*seq) == other.hash_at(*seq));
        let seq = *numbers.get(agreed)?;
        let index = index_of(seq)?;
        Some(Fork { seq, ours: self.entries[index].hash(), theirs: other.entries[index].hash() })
    }
}
