//! Which sealed keys have to come with a statement, and whether they did.
//!
//! Author and server use the same rule: a statement is stored together with the sealed keys it owes, or not
//! at all, so that no member is ever without the key of an epoch it belongs to.

use std::collections::HashSet;

use busauth::UserId;
use rand_core::CryptoRng;

use crate::{
    epoch::EpochKey,
    sealed_key::{SealError, SealedFor, SealedKey},
    state::{Member, RoomState},
    statement::{History, Op, RoomRole, Statement},
};

/// The sealed keys that a statement's request has to carry: no more and no fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredSeals {
    /// None: no member gets a key through this statement.
    Nothing,
    /// The key of the epoch that the statement opens, to every member of the state after it (a newcomer
    /// included).
    EveryMember {
        /// The epoch that opens.
        epoch: u64,
    },
    /// The key of the epoch that is open, to the newcomer of a room that shares its history. Keys of older
    /// epochs follow in a request of their own ([`check_shared_keys`]).
    Newcomer {
        /// The epoch that is open.
        epoch: u64,
        /// The newcomer.
        user: UserId,
    },
}

/// Why the sealed keys of a request are not the ones that its statement owes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedSetError {
    /// The statement owes none.
    #[error("no sealed keys belong to this statement")]
    NotExpected,
    /// A member would be left without the key.
    #[error("the sealed key for {0} is missing")]
    Missing(UserId),
    /// Somebody would get a key who is not to have it.
    #[error("{0} is not to get this key")]
    Stranger(UserId),
    /// Two sealed keys for one member.
    #[error("two sealed keys for {0}")]
    Twice(UserId),
}

/// The sealed keys owed by `statement`, given the state after it.
pub fn required_seals(after: &RoomState, statement: &Statement) -> RequiredSeals {
    let Some(current) = after.epoch() else {
        return RequiredSeals::Nothing;
    };
    match (&statement.op, statement.op.epoch()) {
        (_, Some(opened)) => RequiredSeals::EveryMember { epoch: opened.n },
        (Op::Add { user, .. }, None) => RequiredSeals::Newcomer { epoch: current.n, user: *user },
        (_, None) => RequiredSeals::Nothing,
    }
}

/// Checks the sealed keys of a request against what `statement` owes; `after` is the state after it.
pub fn check_sealed_set(
    after: &RoomState,
    statement: &Statement,
    keys: &[SealedFor],
) -> Result<(), SealedSetError> {
    required_seals(after, statement).check(after, keys)
}

impl RequiredSeals {
    /// The epoch whose key is sealed.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::EveryMember { epoch } | Self::Newcomer { epoch, .. } => Some(*epoch),
        }
    }

    /// The members that the key has to be sealed to.
    pub fn recipients<'s>(&self, after: &'s RoomState) -> Vec<&'s Member> {
        match self {
            Self::Nothing => Vec::new(),
            Self::EveryMember { .. } => after.members().collect(),
            Self::Newcomer { user, .. } => after.member(user).into_iter().collect(),
        }
    }

    /// Seals `key` to every recipient.
    pub fn seal(
        &self,
        after: &RoomState,
        key: &EpochKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<SealedFor>, SealError> {
        let Some(n) = self.epoch() else {
            return Ok(Vec::new());
        };
        let context = after.key_context(n);
        let seal = |member: &Member| {
            let sealed = SealedKey::seal(key, &context, n, (&member.user, &member.exchange), rng)?;
            Ok(SealedFor { user: member.user, sealed })
        };
        self.recipients(after).into_iter().map(seal).collect()
    }

    /// Checks that `keys` are sealed to exactly the recipients.
    pub fn check(&self, after: &RoomState, keys: &[SealedFor]) -> Result<(), SealedSetError> {
        if matches!(self, Self::Nothing) {
            return if keys.is_empty() { Ok(()) } else { Err(SealedSetError::NotExpected) };
        }
        let recipients: HashSet<UserId> = self.recipients(after).iter().map(|member| member.user).collect();
        let mut sealed = HashSet::with_capacity(recipients.len());
        for SealedFor { user, .. } in keys {
            if !recipients.contains(user) {
                return Err(SealedSetError::Stranger(*user));
            }
            if !sealed.insert(*user) {
                return Err(SealedSetError::Twice(*user));
            }
        }
        // Ordered as the members are, so that the answer names the same one every time.
        match self.recipients(after).iter().find(|member| !sealed.contains(&member.user)) {
            Some(member) => Err(SealedSetError::Missing(member.user)),
            None => Ok(()),
        }
    }
}

/// Why keys of older epochs are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedKeysError {
    /// The room keeps its history from newcomers, or is not encrypted.
    #[error("this room does not share older keys")]
    NotShared,
    /// Only owners hand out keys.
    #[error("{0} is not an owner of the room")]
    NotAnOwner(UserId),
    /// Keys go to members.
    #[error("{0} is not a member of the room")]
    NotAMember(UserId),
    /// The epoch does not exist.
    #[error("there is no epoch {0} in this room")]
    NoSuchEpoch(u64),
}

/// Whether `by` may give `recipient` the keys of these epochs, as owners do for a newcomer of a room that
/// shares its history.
pub fn check_shared_keys(
    state: &RoomState,
    by: &UserId,
    recipient: &UserId,
    epochs: impl IntoIterator<Item = u64>,
) -> Result<(), SharedKeysError> {
    let current =
        state.epoch().filter(|_| state.history() == History::Shared).ok_or(SharedKeysError::NotShared)?;
    if state.role_of(by) != Some(RoomRole::Owner) {
        return Err(SharedKeysError::NotAnOwner(*by));
    }
    if state.member(recipient).is_none() {
        return Err(SharedKeysError::NotAMember(*recipient));
    }
    match epochs.into_iter().find(|n| !(1..=current.n).contains(n)) {
        Some(n) => Err(SharedKeysError::NoSuchEpoch(n)),
        None => Ok(()),
    }
}
