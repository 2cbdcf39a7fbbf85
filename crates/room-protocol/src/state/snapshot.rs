//! The stored form of a room's state. Reading it checks that it is consistent in itself; it was verified when
//! it was written.

use busauth::UserId;
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use super::{Member, RoomState};
use crate::{
    epoch::Epoch,
    head::Head,
    room_id::RoomId,
    room_name::RoomName,
    room_subject::RoomSubject,
    statement::{Encryption, History, RoomLimits},
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshot {
    id: RoomId,
    head: Head,
    at: u64,
    created_at: u64,
    creator: UserId,
    subject: RoomSubject,
    name: RoomName,
    encryption: Encryption,
    history: History,
    limits: RoomLimits,
    epoch: Option<Epoch>,
    rekey_due: bool,
    members: Vec<Member>,
    closed: bool,
}

/// A stored state that no log can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("two members have the same id or handle")]
    Duplicate,
    #[error("the room has no owner")]
    NoOwner,
    #[error("the room's epoch does not fit its encryption")]
    Epoch,
}

impl From<RoomState> for Snapshot {
    fn from(state: RoomState) -> Self {
        Self {
            id: state.id,
            head: state.head,
            at: state.at,
            created_at: state.created_at,
            creator: state.creator,
            members: state.members().cloned().collect(),
            subject: state.subject,
            name: state.name,
            encryption: state.encryption,
            history: state.history,
            limits: state.limits,
            epoch: state.epoch,
            rekey_due: state.rekey_due,
            closed: state.closed,
        }
    }
}

impl TryFrom<Snapshot> for RoomState {
    type Error = SnapshotError;

    fn try_from(stored: Snapshot) -> Result<Self, SnapshotError> {
        if stored.epoch.is_some() != (stored.encryption == Encryption::E2e) {
            return Err(SnapshotError::Epoch);
        }
        let count = stored.members.len();
        let mut state = Self {
            id: stored.id,
            head: stored.head,
            at: stored.at,
            created_at: stored.created_at,
            creator: stored.creator,
            subject: stored.subject,
            name: stored.name,
            encryption: stored.encryption,
            history: stored.history,
            limits: stored.limits,
            epoch: stored.epoch,
            rekey_due: stored.rekey_due,
            members: RedBlackTreeMapSync::default(),
            handles: RedBlackTreeMapSync::default(),
            owners: 0,
            closed: stored.closed,
        };
        for member in stored.members {
            state.insert(member);
        }
        if state.members.size() != count || state.handles.size() != count {
            return Err(SnapshotError::Duplicate);
        }
        if state.owners == 0 {
            return Err(SnapshotError::NoOwner);
        }
        Ok(state)
    }
}
