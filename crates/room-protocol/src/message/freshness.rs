//! Remembering what was received, so that a live message is taken once.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use busauth::UserId;
use serde::{Deserialize, Serialize};

use super::{MessageId, MessageRejection};

/// How far the time of a live message may be from ours, in either direction: five minutes.
pub const FRESH_FOR_MS: u64 = 5 * 60 * 1000;

/// Most ids remembered for one room: four megabytes of ids. Beyond it the busiest sender's window gets
/// shorter.
const MAX_IDS: usize = 1 << 18;

/// What was received live in one room: ids within the window, and the highest head of each sender.
///
/// Memory is bounded. When it is full, the older half of the busiest sender's ids is forgotten and that
/// sender's messages from before them are refused: a flood can shorten its own window, never let a replay
/// through.
///
/// Store it (serde) across restarts. Where that failed, [`Freshness::starting_at`] refuses everything from
/// before the restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Freshness {
    /// Messages up to this time are refused, whoever sent them.
    floor: u64,
    /// One per user whose message was ever accepted; each of them cost an entry of the log.
    senders: BTreeMap<UserId, Sender>,
    /// How many ids all senders have together.
    #[serde(skip)]
    remembered: usize,
}

/// The stored form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    floor: u64,
    senders: BTreeMap<UserId, Sender>,
}

impl From<Stored> for Freshness {
    fn from(Stored { floor, senders }: Stored) -> Self {
        let remembered = senders.values().map(|sender| sender.ids.len()).sum();
        Self { floor, senders, remembered }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sender {
    /// The highest entry of the log that a message of this sender named.
    head: u64,
    /// Messages up to this time are refused: their ids are forgotten.
    floor: u64,
    ids: BTreeSet<MessageId>,
}

impl Freshness {
    /// Nothing received yet, and nothing before this moment to be received again.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a process that started at `now` (Unix milliseconds) and does not know what was received before.
    pub fn starting_at(now: u64) -> Self {
        Self { floor: now, ..Self::default() }
    }

    /// Takes note of a message, or says why it is not fresh. A refused message leaves no trace.
    pub(super) fn accept(
        &mut self,
        from: &UserId,
        id: MessageId,
        head: u64,
        now: u64,
    ) -> Result<(), MessageRejection> {
        let time = id.timestamp_ms();
        if time.abs_diff(now) > FRESH_FOR_MS {
            return Err(MessageRejection::OutsideWindow(time.abs_diff(now)));
        }
        if time <= self.floor {
            return Err(MessageRejection::Replayed);
        }
        if let Some(sender) = self.senders.get(from) {
            if time <= sender.floor || sender.ids.contains(&id) {
                return Err(MessageRejection::Replayed);
            }
            if head < sender.head {
                return Err(MessageRejection::HeadWentBack { highest: sender.head, found: head });
            }
        }
        let sender = self.senders.entry(*from).or_default();
        self.remembered -= sender.forget_before(now.saturating_sub(FRESH_FOR_MS));
        sender.head = head;
        sender.ids.insert(id);
        self.remembered += 1;
        if self.remembered > MAX_IDS {
            self.forget_old(now);
            self.stay_within(MAX_IDS);
        }
        Ok(())
    }

    /// Forgets which entries of the log the senders knew: for a log that was taken in place of another one, where
    /// the same numbers stand for other entries.
    pub fn forget_heads(&mut self) {
        for sender in self.senders.values_mut() {
            sender.head = 0;
        }
    }

    /// How many ids are remembered.
    pub fn remembered(&self) -> usize {
        self.remembered
    }

    /// Drops ids that are too old to be accepted again; call it now and then, and before storing.
    pub fn forget_old(&mut self, now: u64) {
        for sender in self.senders.values_mut() {
            self.remembered -= sender.forget_before(now.saturating_sub(FRESH_FOR_MS));
        }
    }

    /// Takes over what another process of the same person received in this room.
    pub fn merge(&mut self, other: &Self) {
        self.floor = self.floor.max(other.floor);
        for (user, theirs) in &other.senders {
            let ours = self.senders.entry(*user).or_default();
            let before = ours.ids.len();
            ours.head = ours.head.max(theirs.head);
            ours.floor = ours.floor.max(theirs.floor);
            ours.ids.extend(&theirs.ids);
            self.remembered += ours.ids.len() - before;
            self.remembered -= ours.forget_up_to_floor();
        }
        self.stay_within(MAX_IDS);
    }

    fn stay_within(&mut self, most: usize) {
        while self.remembered > most {
            let Some(busiest) = self.senders.values_mut().max_by_key(|sender| sender.ids.len()) else {
                return;
            };
            self.remembered -= busiest.forget_older_half();
        }
    }
}

impl Sender {
    /// Forgets ids from before `time`. Returns how many.
    fn forget_before(&mut self, time: u64) -> usize {
        let mut forgotten = 0;
        while let Some(oldest) = self.ids.first().filter(|id| id.timestamp_ms() < time) {
            // Up to here and no further: a clock that is wrong for a moment must not shut out the messages of
            // the real time.
            self.floor = self.floor.max(oldest.timestamp_ms());
            self.ids.pop_first();
            forgotten += 1;
        }
        forgotten
    }

    fn forget_older_half(&mut self) -> usize {
        if let Some(middle) = self.ids.iter().nth(self.ids.len() / 2) {
            self.floor = self.floor.max(middle.timestamp_ms());
        }
        self.forget_up_to_floor()
    }

    fn forget_up_to_floor(&mut self) -> usize {
        self.forget_before(self.floor.saturating_add(1))
    }
}
