//! A room's whole log, verified from its first entry, and what can be asked of it.
//!
//! States of the past are needed to judge messages (by the head their sender had). The log keeps a state
//! every few entries, sharing structure, and replays the rest; any head of the past can be asked for.

mod fork;
use std::collections::HashMap;

use busauth::UserId;

use crate::{
    epoch::Epoch,
    head::{EntryHash, Head},
    jws::SignedStatement,
    state::RoomState,
    statement::{Encryption, Op, RoomRole},
    violation::Violation,
};

pub use fork::{Fork, HeadComparison, LogLie};

/// Entries between two kept states: how far [`RoomLog::state_at`] replays at most.
const CHECKPOINT_EVERY: u64 = 32;

/// A verified log: every entry kept every rule when it was added.
#[derive(Clone, Debug)]
pub struct RoomLog {
    entries: Vec<SignedStatement>,
    /// When this process learned of each entry, in its own Unix milliseconds; 0 for entries that were there
    /// from the start.
    learned_at: Vec<u64>,
    state: RoomState,
    /// The states after entries 1, 1 + `CHECKPOINT_EVERY`, …
    checkpoints: Vec<RoomState>,
    /// Epoch `n` and the number of the entry that opened it, at index `n - 1`.
    epochs: Vec<(Epoch, u64)>,
    /// The entry by which a user last lost the right to write.
    lost_writing: HashMap<UserId, u64>,
    closed_by: Option<u64>,
}

/// Why a log, or one more entry, is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A log without entries says nothing.
    #[error("the log is empty")]
    Empty,
    /// An entry breaks a rule. The log before it stands.
    #[error("entry {seq} of the log is not valid: {violation}")]
    Violation {
        /// Where the entry would stand.
        seq: u64,
        /// The rule.
        #[source]
        violation: Violation,
    },
    /// A second valid entry for a place that is taken: the room has two histories.
    #[error(transparent)]
    Forked(#[from] Fork),
}

/// What [`RoomLog::extend`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// The entry is now the last one.
    Appended,
    /// The log had it already.
    Known,
}

impl RoomLog {
    /// Verifies a whole log. Its entries count as known for a long time: none of them opens a grace period
    /// for messages that were sent before it.
    pub fn verify(entries: impl IntoIterator<Item = SignedStatement>) -> Result<Self, LogError> {
        let mut entries = entries.into_iter();
        let first = entries.next().ok_or(LogError::Empty)?;
        let state = RoomState::open(&first).map_err(|violation| LogError::Violation { seq: 1, violation })?;
        let mut log = Self {
            epochs: state.epoch().map(|epoch| (epoch, 1)).into_iter().collect(),
            checkpoints: vec![state.clone()],
            state,
            entries: vec![first],
            learned_at: vec![0],
            lost_writing: HashMap::new(),
            closed_by: None,
        };
        for entry in entries {
            log.append(entry, 0)?;
        }
        Ok(log)
    }

    /// Adds an entry that this process learned of at `learned_at` (its own Unix milliseconds).
    ///
    /// An entry that the log has already changes nothing; another valid entry in its place is proof of a
    /// fork.
    pub fn extend(&mut self, entry: SignedStatement, learned_at: u64) -> Result<Extended, LogError> {
        let seq = entry.statement().seq;
        let Some(known) = self.hash_at(seq) else {
            return self.append(entry, learned_at).map(|()| Extended::Appended);
        };
        if known == entry.hash() {
            return Ok(Extended::Known);
        }
        self.check_other_history(&entry)?;
        Err(Fork { seq, ours: known, theirs: entry.hash() }.into())
    }

    /// Whether an entry for a place that is taken keeps the rules: only then it proves that there are two
    /// histories.
    fn check_other_history(&self, entry: &SignedStatement) -> Result<(), LogError> {
        let seq = entry.statement().seq;
        let violation = |violation| LogError::Violation { seq, violation };
        match self.state_at(seq - 1) {
            Some(before) => before.apply(entry).map(drop).map_err(violation),
            None => RoomState::open(entry).map_err(violation).and_then(|other| {
                let expected = self.state.id();
                if other.id() == expected {
                    Ok(())
                } else {
                    Err(violation(Violation::OtherRoom { expected }))
                }
            }),
        }
    }

    fn append(&mut self, entry: SignedStatement, learned_at: u64) -> Result<(), LogError> {
        let seq = self.state.head().seq + 1;
        let next = self.state.apply(&entry).map_err(|violation| LogError::Violation { seq, violation })?;
        self.note_losses(&entry, &next);
        self.state = next;
        if seq % CHECKPOINT_EVERY == 1 {
            self.checkpoints.push(self.state.clone());
        }
        self.entries.push(entry);
        self.learned_at.push(learned_at);
        Ok(())
    }

    fn note_losses(&mut self, entry: &SignedStatement, next: &RoomState) {
        let seq = entry.statement().seq;
        let op = &entry.statement().op;
        if let Some(epoch) = op.epoch() {
            self.epochs.push((*epoch, seq));
        }
        match op {
            Op::Remove { user, .. } | Op::SetRole { user, .. } => {
                if has_writing_role(&self.state, user) && !has_writing_role(next, user) {
                    self.lost_writing.insert(*user, seq);
                }
            }
            Op::Close {} => self.closed_by = Some(seq),
            Op::Create { .. } | Op::Add { .. } | Op::Rekey { .. } | Op::Update { .. } => {}
        }
    }

    /// The room now.
    pub fn state(&self) -> &RoomState {
        &self.state
    }

    /// Number and hash of the last entry.
    pub fn head(&self) -> Head {
        self.state.head()
    }

    /// All entries, from the first.
    pub fn entries(&self) -> &[SignedStatement] {
        &self.entries
    }

    /// The entries after number `seq`, as they are offered to somebody who has fewer.
    pub fn entries_after(&self, seq: u64) -> &[SignedStatement] {
        usize::try_from(seq).ok().and_then(|seq| self.entries.get(seq..)).unwrap_or_default()
    }

    /// The hash of entry `seq`; `None` when the log does not reach that far.
    pub fn hash_at(&self, seq: u64) -> Option<EntryHash> {
        self.entries.get(index_of(seq)?).map(SignedStatement::hash)
    }

    /// The room as it was after entry `seq`; `None` when the log does not reach that far.
    pub fn state_at(&self, seq: u64) -> Option<RoomState> {
        if seq == self.state.head().seq {
            return Some(self.state.clone());
        }
        let index = index_of(seq)?;
        if index >= self.entries.len() {
            return None;
        }
        let nearest = self.checkpoints.get(index / CHECKPOINT_EVERY as usize)?;
        let replayed = &self.entries[index_of(nearest.head().seq)? + 1..=index];
        Some(replayed.iter().fold(nearest.clone(), |state, entry| state.after(entry)))
    }

    /// Epoch `n`, with the commitment that its key has to match.
    pub fn epoch(&self, n: u64) -> Option<Epoch> {
        self.epochs.get(index_of(n)?).map(|(epoch, _)| *epoch)
    }

    /// When this process learned of entry `seq` (its own Unix milliseconds); 0 for entries that were there
    /// from the start.
    pub fn learned_at(&self, seq: u64) -> Option<u64> {
        self.learned_at.get(index_of(seq)?).copied()
    }

    /// The entry after which a message of `user`, sent on the head `seq`, would no longer have been accepted:
    /// it opened a newer epoch, took the right to write, or closed the room. `None` while nothing of that
    /// kind happened.
    pub fn superseded_by(&self, user: &UserId, seq: u64) -> Option<u64> {
        let later = |entry: Option<u64>| entry.filter(|entry| *entry > seq);
        let rekeyed = match self.state.encryption() {
            Encryption::E2e => {
                let opened_before = self.epochs.partition_point(|(_, opened_by)| *opened_by <= seq);
                self.epochs.get(opened_before).map(|(_, opened_by)| *opened_by)
            }
            Encryption::None => None,
        };
        let lost = self.lost_writing.get(user).copied().filter(|_| !has_writing_role(&self.state, user));
        [rekeyed, later(lost), later(self.closed_by)].into_iter().flatten().min()
    }

    /// Whether `user` is or was a member.
    pub fn has_known(&self, user: &UserId) -> bool {
        self.state.member(user).is_some()
            || self.entries.iter().any(|entry| match &entry.statement().op {
                Op::Create { .. } => entry.author() == *user,
                Op::Add { user: added, .. } => added == user,
                _ => false,
            })
    }
}

fn has_writing_role(state: &RoomState, user: &UserId) -> bool {
    state.role_of(user).is_some_and(RoomRole::may_write)
}

/// Entries and epochs are counted from 1.
fn index_of(number: u64) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}
