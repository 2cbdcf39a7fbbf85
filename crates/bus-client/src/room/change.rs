//! Changing a room: build a statement on the head that is known, sign it, append it, and rebuild it when the log moved.

use control_api::{Append, Appended, ProblemCode};
use http::Method;
use room_protocol::{
    Epoch, EpochKey, Op, RequiredSeals, RoomState, SealedFor, SignedStatement, Violation, required_seals,
};

use super::core::{RoomCore, unix_millis};
use crate::control::Repeat;
use crate::error::{Error, ErrorKind, Result};

/// Rebuilds before somebody else is taken to be faster for good.
const REBUILDS: usize = 16;

/// A change as built on one state of the room.
pub(super) struct Draft {
    pub(super) op: Op,
    key: DraftKey,
}

/// The key that goes along, sealed, with a change.
enum DraftKey {
    None,
    /// Of the epoch that the change opens. Drawn for this draft alone: once it has left the process in a request that
    /// was refused, it is never used.
    New(EpochKey),
    /// Of the epoch that is open, for a newcomer.
    Current,
}

impl Draft {
    /// A change that touches no key.
    pub(super) fn plain(op: Op) -> Self {
        Self { op, key: DraftKey::None }
    }

    /// A change that opens the next epoch with a new key where `opens`.
    pub(super) fn opening(state: &RoomState, opens: bool, op: impl FnOnce(Option<Epoch>) -> Op) -> Self {
        match new_epoch(state).filter(|_| opens) {
            None => Self::plain(op(None)),
            Some((epoch, key)) => Self { op: op(Some(epoch)), key: DraftKey::New(key) },
        }
    }

    /// Nothing but a new epoch; none in a room that is not encrypted.
    pub(super) fn rekey(state: &RoomState) -> Option<Self> {
        new_epoch(state).map(|(epoch, key)| Self { op: Op::Rekey { epoch }, key: DraftKey::New(key) })
    }

    /// An added member gets a new epoch's key, or the present one's where the room shares its history.
    pub(super) fn adding(state: &RoomState, op: impl FnOnce(Option<Epoch>) -> Op) -> Self {
        let draft = Self::opening(state, state.add_opens_epoch(), op);
        match draft.key {
            DraftKey::None if state.epoch().is_some() => Self { key: DraftKey::Current, ..draft },
            _ => draft,
        }
    }
}

fn new_epoch(state: &RoomState) -> Option<(Epoch, EpochKey)> {
    let n = state.next_epoch_number()?;
    let key = EpochKey::generate(&mut rand::rng());
    Some((key.open_epoch(&state.key_context(n), n), key))
}

/// What one attempt to append came to.
enum Attempt {
    Appended,
    LogMoved(Error),
}

impl RoomCore {
    /// Appends what `build` makes of the room's newest state; `None` from it means that nothing needs to be done any more.
    ///
    /// `build` runs again for every attempt. Returns whether something was appended.
    pub(super) async fn change(
        &self,
        mut build: impl FnMut(&RoomState) -> Result<Option<Draft>>,
    ) -> Result<bool> {
        let mut last = None;
        for _ in 0..REBUILDS {
            let view = self.sync().await?;
            view.check_trusted()?;
            let Some(draft) = build(view.state())? else { return Ok(false) };
            match self.attempt(view.state(), draft).await? {
                Attempt::Appended => return Ok(true),
                Attempt::LogMoved(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(Error::closed))
    }

    async fn attempt(&self, before: &RoomState, draft: Draft) -> Result<Attempt> {
        let entry = before.next_statement(draft.op, unix_millis()).sign(&self.bus.identity);
        let after = before.apply(&entry).map_err(|violation| {
            Error::new(kind_of(&violation), format!("the room does not allow that: {violation}"))
                .with_source(violation)
        })?;
        let key = match draft.key {
            DraftKey::None => None,
            DraftKey::New(key) => Some(key),
            DraftKey::Current => match before.epoch() {
                Some(epoch) => Some(self.epoch_key(epoch.n).await?),
                None => None,
            },
        };
        let keys = seal(&after, &entry, key.as_ref())?;
        if let Err(error) = self.append(&entry, keys).await {
            let moved = error.code() == Some(ProblemCode::LogConflict);
            if !moved && !error.is_transient() {
                return Err(error);
            }
            // The log says whether the statement is in it: the answer to an earlier attempt may have got lost. If it is
            // not, this draft and its key are not used again.
            let included = match self.sync().await {
                Ok(view) => view.log().hash_at(entry.statement().seq) == Some(entry.hash()),
                Err(_) => false,
            };
            match (included, moved) {
                (true, _) => {}
                (false, true) => return Ok(Attempt::LogMoved(error)),
                (false, false) => return Err(error),
            }
        }
        self.adopt_own(&entry).await?;
        if let (Some(key), Some(epoch)) = (key, after.epoch()) {
            self.keys.insert(epoch.n, key);
        }
        Ok(Attempt::Appended)
    }

    async fn append(&self, entry: &SignedStatement, keys: Vec<SealedFor>) -> Result<()> {
        let request = Append::new(entry, keys);
        let path = format!("/v1/rooms/{}/log", self.id);
        // The same statement twice is one entry.
        let _: Appended = self.bus.control.send(Method::POST, &path, &request, Repeat::Harmless).await?;
        Ok(())
    }

    /// Gives the server back entries that it has lost, as far as it takes them; whether anything was taken.
    pub(super) async fn offer_entries(&self, from: u64) -> Result<bool> {
        let view = self.view();
        let mut taken = false;
        for entry in view.log().entries_after(from) {
            let seq = entry.statement().seq;
            let Some(after) = view.log().state_at(seq) else { break };
            let key = match required_seals(&after, entry.statement()).epoch() {
                Some(n) => Some(self.epoch_key(n).await?),
                None => None,
            };
            self.append(entry, seal(&after, entry, key.as_ref())?).await?;
            taken = true;
        }
        Ok(taken)
    }
}

/// The sealed keys that a statement owes.
pub(crate) fn seal(
    after: &RoomState,
    entry: &SignedStatement,
    key: Option<&EpochKey>,
) -> Result<Vec<SealedFor>> {
    let required = required_seals(after, entry.statement());
    match (required, key) {
        (RequiredSeals::Nothing, _) => Ok(Vec::new()),
        (required, Some(key)) => required
            .seal(after, key, &mut rand::rng())
            .map_err(|source| Error::new(ErrorKind::Invalid, source.to_string()).with_source(source)),
        (_, None) => {
            Err(Error::new(ErrorKind::KeyMissing, "the key that this change has to hand on is not here"))
        }
    }
}

fn kind_of(violation: &Violation) -> ErrorKind {
    match violation {
        Violation::NotAMember(_) => ErrorKind::NotAMember,
        Violation::NotAnOwner(_) => ErrorKind::NotPermitted,
        Violation::RoomClosed => ErrorKind::RoomClosed,
        Violation::NoSuchMember(_) => ErrorKind::NotFound,
        Violation::AlreadyMember(_)
        | Violation::HandleTaken(_)
        | Violation::RoleUnchanged(_)
        | Violation::RoomFull { .. }
        | Violation::LastOwner(_) => ErrorKind::Conflict,
        Violation::BadCertificates { .. } => ErrorKind::KeySwapped,
        _ => ErrorKind::Invalid,
    }
}
