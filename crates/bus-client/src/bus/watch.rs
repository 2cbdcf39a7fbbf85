//! The bus's own task: follows the connection, hears what concerns this user, and saves what was seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_api::{Me, UserEvent};
use futures_util::StreamExt as _;
use room_protocol::RoomId;
use tokio::sync::mpsc;

use super::core::BusCore;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::wire::Report;

/// How long a seen message may be known to memory only.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Subscribes to what concerns this user and starts the task.
pub(super) async fn start(core: &Arc<BusCore>, reports: mpsc::Receiver<Report>) -> Result<()> {
    let subject = format!("unibus.event.user.{}", core.user);
    let hints = core.nats.subscribe(subject).await.map_err(|source| {
        Error::new(ErrorKind::Unreachable, "events cannot be subscribed to").with_source(source)
    })?;
    let task = Watch { core: core.clone(), down_since: None };
    core.tasks.spawn(task.run(reports, hints));
    Ok(())
}

struct Watch {
    core: Arc<BusCore>,
    down_since: Option<Instant>,
}

impl Watch {
    async fn run(mut self, mut reports: mpsc::Receiver<Report>, mut hints: async_nats::Subscriber) {
        let stop = self.core.stop.clone();
        let mut save = tokio::time::interval(SAVE_INTERVAL);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(report) = reports.recv() => self.follow(report).await,
                Some(hint) = hints.next() => self.hear(&hint.payload).await,
                _ = save.tick() => self.save().await,
            }
        }
    }

    async fn follow(&mut self, report: Report) {
        match report {
            // The first connection was made before this task began and is not an event.
            Report::Connected => {
                if let Some(since) = self.down_since.take() {
                    self.core.line_up(since.elapsed());
                }
            }
            Report::Disconnected => {
                if self.down_since.is_none() {
                    self.down_since = Some(Instant::now());
                    self.core.line_down();
                    self.am_i_revoked().await;
                }
            }
            Report::SlowConsumer => self.core.slow_consumer(),
            Report::Refused(detail) => {
                self.core.emit(Event::Refused { detail });
                for room in self.core.open_rooms() {
                    room.look_again();
                }
            }
        }
    }

    /// An event only says where to look.
    async fn hear(&self, payload: &[u8]) {
        let Ok(event) = serde_json::from_slice::<UserEvent>(payload) else {
            tracing::debug!("an event of an unknown form was ignored");
            return;
        };
        match event {
            UserEvent::Added { room } | UserEvent::Removed { room } | UserEvent::Deleted { room } => {
                self.check_membership(room).await;
            }
            // A role on the bus is asked for when it matters; what is unknown may be a revocation.
            _ => self.am_i_revoked().await,
        }
    }

    async fn check_membership(&self, room: RoomId) {
        let open = self.core.open_room(&room);
        let member = match self.core.control.get::<Me>("/v1/me").await {
            Ok(me) => me.rooms.iter().any(|summary| summary.id == room),
            Err(error) => {
                tracing::debug!(%error, %room, "cannot look up the membership that an event is about");
                return;
            }
        };
        match open {
            Some(open) => open.look_again(),
            None if !member => self.core.emit(Event::RoomLost { room }),
            None => {}
        }
        if member {
            self.core.emit(Event::RoomAdded { room });
        }
    }

    async fn am_i_revoked(&self) {
        let revoked = match self.core.control.get::<Me>("/v1/me").await {
            Ok(me) => me.user.revoked.is_some(),
            Err(error) => matches!(error.kind(), ErrorKind::Revoked | ErrorKind::Unauthenticated),
        };
        if revoked {
            self.core.emit(Event::Revoked);
        }
    }

    async fn save(&self) {
        if let Err(error) = self.core.save_windows().await {
            tracing::warn!(%error, "what was seen could not be saved; it is tried again");
        }
    }
}
