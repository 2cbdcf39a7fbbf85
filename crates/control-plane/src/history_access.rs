//! Who may read what a room keeps, and who may take work from it: the one place where that is decided for requests on
//! the data plane. From the view in memory, so that it can be asked before every answer.

use std::sync::Arc;

use busauth::UserId;
use membership_store::{RoomAccess, View};
use room_protocol::{History, RoomId};

use crate::access_table::AccessTable;

/// Why a user may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRefusal {
    /// Not a member of such a room.
    NotAMember,
    /// The room keeps nothing.
    NoHistory,
    /// A reader: reads, but takes no work.
    NotAWriter,
    /// The room is frozen or closed.
    NoTraffic,
}

impl AccessTable {
    /// Members read what their room keeps, also when it is frozen or closed.
    pub fn may_read_history(&self, user: &UserId, room: &RoomId) -> Result<Arc<RoomAccess>, HistoryRefusal> {
        let room = member_of(self.view(), user, room)?.0;
        match room.history {
            History::Shared => Ok(room),
            History::None => Err(HistoryRefusal::NoHistory),
        }
    }

    /// Writers and owners take work while the room has traffic. Whose work queue it is, is another question.
    pub fn may_take_work(&self, user: &UserId, room: &RoomId) -> Result<Arc<RoomAccess>, HistoryRefusal> {
        let access = self.may_read_history(user, room)?;
        let (_, may_write) = member_of(self.view(), user, room)?;
        if !may_write {
            return Err(HistoryRefusal::NotAWriter);
        }
        if access.frozen || access.closed {
            return Err(HistoryRefusal::NoTraffic);
        }
        Ok(access)
    }
}

fn member_of(view: &View, user: &UserId, room: &RoomId) -> Result<(Arc<RoomAccess>, bool), HistoryRefusal> {
    let active = view.user(user).is_some_and(|user| user.is_active());
    match (view.room(room), view.role_of(room, user)) {
        (Some(room), Some(role)) if active => Ok((room, role.may_write())),
        _ => Err(HistoryRefusal::NotAMember),
    }
}
