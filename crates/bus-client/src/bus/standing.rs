//! Where this user stands on the bus: which rooms it is in, and whether it is revoked. Looked up whenever something may
//! have changed, by one task, so that a flood of events is one question.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use control_api::{Me, ProblemCode};
use parking_lot::Mutex;
use room_protocol::RoomId;
use tokio::sync::Notify;

use super::addresses::{self, Addresses};
use super::core::BusCore;
use super::renew;
use super::session::Rights;
use crate::error::{ErrorKind, Result};
use crate::event::Event;

/// A connection that could not be made is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// While there is no connection, it is asked this often where there could be one.
const LOST: Duration = Duration::from_secs(5);

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

/// Looks whenever asked to, and where the nodes are also from time to time, until the bus stops.
pub(super) async fn run(core: Arc<BusCore>) {
    let mut asked_on = None;
    loop {
        let asked = tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.standing.look.notified() => true,
            () = tokio::time::sleep(pause(&core)) => false,
        };
        let look = async {
            if asked {
                look(&core).await;
            }
            let line = *core.line().borrow();
            if !asked || asked_on.replace(line) != Some(line) {
                follow_nodes(&core).await;
            }
        };
        if core.stop.run_until_cancelled(look).await.is_none() {
            return;
        }
    }
}

/// How long where the nodes are is taken for granted.
fn pause(core: &BusCore) -> Duration {
    let interval = core.tuning.refresh_interval;
    if core.line().borrow().up { interval } else { interval.min(LOST) }
}

async fn look(core: &Arc<BusCore>) {
    let me = core.control.get::<Me>("/v1/me").await;
    let rights = me.as_ref().ok().map(Rights::of);
    compare(core, me);
    if let Some(rights) = rights
        && !core.grants_are_live()
        && !core.session().lacks(&rights).is_empty()
    {
        connect_anew(core, rights).await;
    }
}

/// Learns where the nodes of the bus are. A connection that is lost may be so because all have moved.
async fn follow_nodes(core: &Arc<BusCore>) {
    match addresses::learn(core).await {
        Ok(Addresses::Told) => {}
        Ok(Addresses::NewToLostConnection) => match core.control.get::<Me>("/v1/me").await {
            Ok(me) => connect_anew(core, Rights::of(&me)).await,
            Err(error) => tracing::debug!(%error, "cannot connect elsewhere"),
        },
        Err(error) => tracing::debug!(%error, "cannot ask where the nodes of the bus are"),
    }
}

/// With more rights, or to other nodes.
async fn connect_anew(core: &Arc<BusCore>, rights: Rights) {
    if let Err(error) = renew::renew(core, rights).await {
        tracing::debug!(%error, "another connection cannot be made yet");
        tokio::time::sleep(RETRY).await;
        core.standing.look_again();
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
