//! The bus's own task: follows the connection, hears that something concerns this user, and saves what was seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::core::BusCore;
use super::session::Session;
use super::standing;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::wire::{Report, Reports};

/// How long a seen message may be known to memory only.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Subscribes to what concerns this user and starts the task.
pub(super) async fn start(core: &Arc<BusCore>) -> Result<()> {
    let mut sessions = core.sessions();
    let session = sessions.borrow_and_update().clone();
    let hints = hints(core, &session).await?;
    let reports = session.take_reports().ok_or_else(Error::closed)?;
    let task = Watch { core: core.clone(), down_since: None, sessions };
    core.tasks.spawn(task.run(reports, hints));
    core.tasks.spawn(standing::run(core.clone()));
    Ok(())
}

/// What says that something concerns this user.
async fn hints(core: &BusCore, session: &Session) -> Result<async_nats::Subscriber> {
    let subject = control_api::subjects::user_event(&core.user);
    session.client().subscribe(subject.as_str().to_owned()).await.map_err(|source| {
        Error::new(ErrorKind::Unreachable, "events cannot be subscribed to").with_source(source)
    })
}

struct Watch {
    core: Arc<BusCore>,
    down_since: Option<Instant>,
    sessions: watch::Receiver<Session>,
}

impl Watch {
    async fn run(mut self, mut reports: Reports, mut hints: async_nats::Subscriber) {
        let stop = self.core.stop.clone();
        let mut save = tokio::time::interval(SAVE_INTERVAL);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.sessions.changed() => {
                    let session = self.sessions.borrow_and_update().clone();
                    let (Ok(now), Some(reported)) =
                        (self::hints(&self.core, &session).await, session.take_reports())
                    else {
                        return;
                    };
                    (hints, reports) = (now, reported);
                    self.reconcile();
                    // What happened in between was perhaps said to nobody.
                    self.core.standing.look_again();
                }
                Some(report) = reports.recv() => self.follow(report),
                // An event only says that there is something to look at.
                Some(_) = hints.next() => self.core.standing.look_again(),
                _ = save.tick() => {
                    self.reconcile();
                    let began = Instant::now();
                    self.save().await;
                    // Large windows are saved less often: never more than a twentieth of the time goes into it.
                    save.reset_after(SAVE_INTERVAL.max(began.elapsed() * 20));
                }
            }
        }
    }

    fn follow(&mut self, report: Report) {
        match report {
            Report::Connected => self.connected(),
            Report::Disconnected => self.disconnected(),
            Report::SlowConsumer => self.core.slow_consumer(),
            Report::Refused(detail) => {
                for room in self.core.open_rooms() {
                    room.note_refusal(&detail);
                }
                self.core.emit(Event::Refused { detail });
            }
            Report::Lost(count) => self.look_at_everything(count),
        }
    }

    /// Which subscriptions the bus closed was perhaps among what is lost; whether there is a connection, it knows itself.
    fn look_at_everything(&mut self, lost: u64) {
        self.reconcile();
        for room in self.core.open_rooms() {
            room.note_lost_reports();
        }
        self.core.emit(Event::Lagged(lost));
        self.core.standing.look_again();
    }

    /// The first connection was made before this task began and is not an event.
    fn connected(&mut self) {
        if let Some(since) = self.down_since.take() {
            self.core.line_up(since.elapsed());
            // What happened meanwhile was said to nobody.
            self.core.standing.look_again();
        }
    }

    fn disconnected(&mut self) {
        if self.down_since.is_none() {
            self.down_since = Some(Instant::now());
            self.core.line_down();
            // It may be because this user was revoked.
            self.core.standing.look_again();
        }
    }

    /// Whether it is there the connection knows itself, whatever was reported.
    fn reconcile(&mut self) {
        match self.core.session().client().connection_state() {
            State::Connected => self.connected(),
            State::Disconnected => self.disconnected(),
            State::Pending => {}
        }
    }

    async fn save(&self) {
        if let Err(error) = self.core.save_windows().await {
            tracing::warn!(%error, "what was seen could not be saved; it is tried again");
        }
    }
}
