//! Where this user stands on the bus: which rooms it is in, and whether it is revoked. Looked up whenever something may
//! have changed, by one task, so that a flood of events is one question.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use control_api::{Me, ProblemCode};
use parking_lot::Mutex;
use room_protocol::RoomId;
use tokio::sync::Notify;

use super::core::BusCore;
use super::renew;
use super::session::Rights;
use crate::error::{ErrorKind, Result};
use crate::event::Event;

/// A connection that could not be made is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// What was known at the last look.
#[derive(Debug)]
pub(super) struct Standing {
    rooms: Mutex<HashSet<RoomId>>,
    look: Notify,
}

impl Standing {
    pub(super) fn new(me: &Me) -> Self {
        Self { rooms: Mutex::new(me.rooms.iter().map(|room| room.id).collect()), look: Notify::new() }
    }

    /// Asks for a look.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }
}

impl BusCore {
    /// A room that this user makes itself is no news to it.
    pub(crate) fn expect_room(&self, room: RoomId) {
        self.standing.rooms.lock().insert(room);
    }
}

/// Looks whenever asked to, until the bus stops.
pub(super) async fn run(core: Arc<BusCore>) {
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.standing.look.notified() => {}
        }
        let me = tokio::select! {
            () = core.stop.cancelled() => return,
            me = core.control.get::<Me>("/v1/me") => me,
        };
        let rights = me.as_ref().ok().map(Rights::of);
        compare(&core, me);
        if let Some(rights) = rights {
            follow_grants(&core, rights).await;
        }
    }
}

/// Connects anew where a grant needs that.
async fn follow_grants(core: &Arc<BusCore>, rights: Rights) {
    if core.grants_are_live() || core.session().lacks(&rights).is_empty() {
        return;
    }
    let renewed = core.stop.run_until_cancelled(renew::renew(core, rights)).await;
    if let Some(Err(error)) = renewed {
        tracing::debug!(%error, "a connection with new rights cannot be made yet");
        let again = tokio::time::sleep(RETRY);
        if core.stop.run_until_cancelled(again).await.is_some() {
            core.standing.look_again();
        }
    }
}

fn compare(core: &BusCore, me: Result<Me>) {
    let me = match me {
        Ok(me) if me.user.id == core.user && me.user.is_active() => me,
        Ok(_) => return core.emit(Event::Revoked),
        // Other refusals, such as one for the clock of a server that has just come back, say nothing about this user.
        Err(error)
            if error.kind() == ErrorKind::Revoked || error.code() == Some(ProblemCode::UserUnknown) =>
        {
            return core.emit(Event::Revoked);
        }
        Err(error) => {
            tracing::debug!(%error, "cannot look up where this user stands");
            return;
        }
    };
    let now: HashSet<RoomId> = me.rooms.iter().map(|room| room.id).collect();
    let before = std::mem::replace(&mut *core.standing.rooms.lock(), now.clone());
    for room in now.difference(&before) {
        core.emit(Event::RoomAdded { room: *room });
    }
    for room in before.difference(&now) {
        // An open room looks for itself and says what it finds.
        if core.open_room(room).is_none() {
            core.emit(Event::RoomLost { room: *room });
        }
    }
    for room in core.open_rooms() {
        if before.contains(&room.id) != now.contains(&room.id) {
            room.look_again();
        }
    }
}
