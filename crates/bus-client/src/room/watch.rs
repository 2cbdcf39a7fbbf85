//! A room's own task: looks at the server whenever something may have changed, and does what an owner owes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};

use tokio::sync::watch;

use super::core::RoomCore;
use super::rekey::revoked_members;
use super::view::Access;
use crate::bus::Session;
use crate::error::Result;
use crate::state::Suspicion;

/// After a look that failed for reasons that pass, the next one comes this soon.
const RETRY: Duration = Duration::from_secs(2);

/// Subscribes to hints about the room and starts the task, which ends with the room's last handle.
pub(super) async fn start(room: &Arc<RoomCore>) -> Result<()> {
    let mut sessions = room.bus.sessions();
    sessions.mark_unchanged();
    let hints = hints(room).await?;
    let task = run(Arc::downgrade(room), hints, sessions);
    room.bus.tasks.spawn(task);
    Ok(())
}

async fn hints(room: &RoomCore) -> Result<async_nats::Subscriber> {
    let subject = control_api::subjects::room_event(&room.id);
    RoomCore::listen_on(&room.bus.session(), subject.as_str().to_owned(), None).await
}

async fn run(
    room: Weak<RoomCore>,
    mut heard: async_nats::Subscriber,
    mut sessions: watch::Receiver<Session>,
) {
    let Some((stop, look, mut line, interval)) = room.upgrade().map(|room| {
        (room.stop.clone(), room.look.clone(), room.bus.line(), room.bus.tuning.refresh_interval)
    }) else {
        return;
    };
    let mut generation = line.borrow_and_update().generation;
    let mut offered_under = 0;
    let mut next = interval;
    let mut listening_since = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = look.notified() => {}
            // One look answers all hints that are there.
            Some(_) = heard.next() => while let Some(Some(_)) = heard.next().now_or_never() {},
            Ok(()) = line.changed() => {
                let now = line.borrow_and_update().generation;
                if now == generation {
                    continue;
                }
                generation = now;
            }
            Ok(()) = sessions.changed() => {
                let Some(room) = room.upgrade() else { return };
                match hints(&room).await {
                    Ok(again) => heard = again,
                    Err(_) => return,
                }
            }
            () = tokio::time::sleep(next) => {}
        }
        let Some(room) = room.upgrade() else { return };
        if room.view().access() == Access::Lost {
            if !welcome_again(&room).await {
                next = interval;
                continue;
            }
            // The bus closed the old subscription when it shut us out.
            room.hints_closed().store(true, Ordering::Release);
        }
        next = match stop.run_until_cancelled(follow(&room)).await {
            None => return,
            Some(Ok(())) => interval,
            Some(Err(error)) if error.is_transient() => RETRY.min(interval),
            Some(Err(error)) => {
                tracing::debug!(room = %room.id, %error, "the room cannot be followed");
                interval
            }
        };
        if room.hints_closed().load(Ordering::Acquire) && room.view().access() != Access::Lost {
            // Not in a circle with a bus that lets us in and shuts us out.
            if listening_since.elapsed() < RETRY {
                next = RETRY.min(interval);
                continue;
            }
            room.hints_closed().store(false, Ordering::Release);
            match hints(&room).await {
                Ok(again) => (heard, listening_since) = (again, Instant::now()),
                Err(_) => return,
            }
            // What happened before this was in place was hinted to nobody.
            room.look_again();
        }
        if let Some(Suspicion::RolledBack { offered, .. }) = room.view().suspicion()
            && offered_under != generation
        {
            offered_under = generation;
            give_back(&room, offered.seq).await;
        }
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
