//! A room's own task: looks at the server whenever something may have changed, and does what an owner owes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::core::RoomCore;
use super::rekey::revoked_members;
use super::view::Access;
use crate::bus::{Line, Session};
use crate::error::Result;
use crate::state::Suspicion;

/// After a look that failed for reasons that pass, the next one comes this soon.
const RETRY: Duration = Duration::from_secs(2);

/// Subscribes to hints about the room and starts the task, which ends with the room's last handle.
pub(super) async fn start(room: &Arc<RoomCore>) -> Result<()> {
    let mut sessions = room.bus.sessions();
    sessions.mark_unchanged();
    let hints = hints(room).await?;
    let mut line = room.bus.line();
    let generation = line.borrow_and_update().generation;
    let interval = room.bus.tuning.refresh_interval;
    let task = Task {
        room: Arc::downgrade(room),
        stop: room.stop.clone(),
        look: room.look.clone(),
        hints,
        sessions,
        line,
        generation,
        offered_under: 0,
        interval,
        next: interval,
        listening_since: Instant::now(),
    };
    room.bus.tasks.spawn(task.run());
    Ok(())
}

async fn hints(room: &RoomCore) -> Result<async_nats::Subscriber> {
    let subject = control_api::subjects::room_event(&room.id);
    RoomCore::listen_on(&room.bus.session(), subject.as_str().to_owned(), None).await
}

struct Task {
    room: Weak<RoomCore>,
    stop: CancellationToken,
    look: Arc<Notify>,
    hints: async_nats::Subscriber,
    sessions: watch::Receiver<Session>,
    line: watch::Receiver<Line>,
    /// Of the connection.
    generation: u64,
    /// The connection under which the server was last offered what it had lost.
    offered_under: u64,
    interval: Duration,
    /// Until the next look that nothing asks for.
    next: Duration,
    listening_since: Instant,
}

/// The room has been let go, or the connection is closed for good.
struct Over;

impl Task {
    async fn run(mut self) {
        let Over = self.look_again_and_again().await;
    }

    async fn look_again_and_again(&mut self) -> Over {
        loop {
            if let Err(over) = self.wait().await {
                return over;
            }
            let Some(room) = self.room.upgrade() else { return Over };
            if let Err(over) = self.look_at(&room).await {
                return over;
            }
        }
    }

    /// Until there may be something to see.
    async fn wait(&mut self) -> Result<(), Over> {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Err(Over),
                () = self.look.notified() => return Ok(()),
                // One look answers all hints that are there.
                Some(_) = self.hints.next() => {
                    while let Some(Some(_)) = self.hints.next().now_or_never() {}
                    return Ok(());
                }
                Ok(()) = self.line.changed() => {
                    let now = self.line.borrow_and_update().generation;
                    if std::mem::replace(&mut self.generation, now) != now {
                        return Ok(());
                    }
                }
                Ok(()) = self.sessions.changed() => {
                    let room = self.room.upgrade().ok_or(Over)?;
                    self.hints = hints(&room).await.map_err(|_| Over)?;
                    return Ok(());
                }
                () = tokio::time::sleep(self.next) => return Ok(()),
            }
        }
    }

    async fn look_at(&mut self, room: &Arc<RoomCore>) -> Result<(), Over> {
        if room.view().access() == Access::Lost {
            if !welcome_again(room).await {
                self.next = self.interval;
                return Ok(());
            }
            // The bus closed the old subscription when it shut us out.
            room.hints_closed().store(true, Ordering::Release);
        }
        self.next = match self.stop.run_until_cancelled(follow(room)).await {
            None => return Err(Over),
            Some(Ok(())) => self.interval,
            Some(Err(error)) if error.is_transient() => RETRY.min(self.interval),
            Some(Err(error)) => {
                tracing::debug!(room = %room.id, %error, "the room cannot be followed");
                self.interval
            }
        };
        self.listen_again(room).await?;
        if let Some(Suspicion::RolledBack { offered, .. }) = room.view().suspicion()
            && self.offered_under != self.generation
        {
            self.offered_under = self.generation;
            give_back(room, offered.seq).await;
        }
        Ok(())
    }

    /// Where the bus has closed the subscription to hints, and lets us in.
    async fn listen_again(&mut self, room: &RoomCore) -> Result<(), Over> {
        if !room.hints_closed().load(Ordering::Acquire) || room.view().access() == Access::Lost {
            return Ok(());
        }
        // Not in a circle with a bus that lets us in and shuts us out.
        if self.listening_since.elapsed() < RETRY {
            self.next = RETRY.min(self.interval);
            return Ok(());
        }
        room.hints_closed().store(false, Ordering::Release);
        self.hints = hints(room).await.map_err(|_| Over)?;
        self.listening_since = Instant::now();
        // What happened before this was in place was hinted to nobody.
        room.look_again();
        Ok(())
    }
}

/// The log, then what the server says beside it.
async fn follow(room: &Arc<RoomCore>) -> Result<()> {
    room.sync().await?;
    let info = room.look_up().await?;
    room.schedule_duty(&revoked_members(&info));
    Ok(())
}

/// A member that was removed may have been added again.
async fn welcome_again(room: &Arc<RoomCore>) -> bool {
    room.look_up().await.is_ok()
}

/// A server that lost entries, as after a restored backup, gets them back once per connection.
async fn give_back(room: &Arc<RoomCore>, from: u64) {
    match room.offer_entries(from).await {
        Ok(true) => {
            if let Err(error) = room.sync().await {
                tracing::debug!(room = %room.id, %error, "cannot see whether the server took its entries back");
            }
        }
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(room = %room.id, %error, "the server does not take back the entries it lost");
        }
    }
}
