//! What a bus handle, its rooms and its tasks share.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use busauth::{Handle, Identity, UserId};
use control_api::{GrantsApply, Info};
use parking_lot::Mutex;
use room_protocol::RoomId;
use room_protocol::message::Freshness;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::session::{Session, Sessions};
use super::standing::Standing;
use crate::config::Tuning;
use crate::control::Control;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, GapCause};
use crate::room::{RoomCore, unix_millis};
use crate::state::{Pins, StateStore};
use crate::wire::Dialer;

/// Events a slow receiver may fall behind before it misses some and is told so.
const EVENTS: usize = 256;

/// How the connection is, and when messages may have been missed. Tasks watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counts connections from 1.
    pub(crate) generation: u64,
    pub(crate) up: bool,
    /// Counts gaps.
    pub(crate) gaps: u64,
    pub(crate) last_gap: Option<GapCause>,
}

pub(crate) struct BusCore {
    pub(crate) identity: Arc<Identity>,
    pub(crate) user: UserId,
    pub(crate) handle: Handle,
    pub(crate) info: Info,
    pub(crate) control: Control,
    pub(super) dialer: Dialer,
    session: Sessions,
    /// Held by whoever publishes, and alone while another connection takes over.
    pub(crate) handover: tokio::sync::RwLock<()>,
    pub(crate) state: StateStore,
    pub(crate) tuning: Tuning,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(super) standing: Standing,
    line: watch::Sender<Line>,
    events: broadcast::Sender<Event>,
    rooms: Mutex<HashMap<RoomId, Weak<RoomCore>>>,
    /// Windows of rooms that nobody holds any more, until they are saved.
    left: Mutex<HashMap<RoomId, Freshness>>,
    /// The pins as last read; names on messages are looked up here for each message.
    pins: Mutex<Arc<Pins>>,
}

/// What the core is made from.
pub(super) struct Parts {
    pub(super) identity: Arc<Identity>,
    pub(super) handle: Handle,
    pub(super) info: Info,
    pub(super) control: Control,
    pub(super) dialer: Dialer,
    pub(super) session: Session,
    pub(super) state: StateStore,
    pub(super) pins: Pins,
    pub(super) tuning: Tuning,
    pub(super) standing: Standing,
    pub(super) stop: CancellationToken,
}

impl BusCore {
    pub(super) fn new(parts: Parts) -> Self {
        let (events, _) = broadcast::channel(EVENTS);
        let (line, _) = watch::channel(Line { generation: 1, up: true, gaps: 0, last_gap: None });
        Self {
            user: parts.identity.id(),
            identity: parts.identity,
            handle: parts.handle,
            info: parts.info,
            control: parts.control,
            dialer: parts.dialer,
            session: watch::Sender::new(parts.session),
            handover: tokio::sync::RwLock::new(()),
            state: parts.state,
            tuning: parts.tuning,
            tasks: TaskTracker::new(),
            stop: parts.stop,
            standing: parts.standing,
            line,
            events,
            rooms: Mutex::default(),
            left: Mutex::default(),
            pins: Mutex::new(Arc::new(parts.pins)),
        }
    }

    /// The connection to the data plane.
    pub(crate) fn session(&self) -> Session {
        self.session.borrow().clone()
    }

    pub(crate) fn sessions(&self) -> watch::Receiver<Session> {
        self.session.subscribe()
    }

    pub(super) fn change_session(&self, session: Session) {
        self.session.send_replace(session);
    }

    /// Whether open connections get new rights.
    pub(crate) fn grants_are_live(&self) -> bool {
        self.info.data_grants == GrantsApply::Live
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn emit(&self, event: Event) {
        tracing::debug!(?event, "bus event");
        // Nobody listening is fine.
        drop(self.events.send(event));
    }

    pub(crate) fn line(&self) -> watch::Receiver<Line> {
        self.line.subscribe()
    }

    pub(super) fn line_down(&self) {
        self.line.send_modify(|line| line.up = false);
        self.emit(Event::Disconnected);
    }

    pub(super) fn line_up(&self, away: Duration) {
        let cause = GapCause::Disconnected(away);
        self.line.send_modify(|line| {
            line.up = true;
            line.generation += 1;
            line.gaps += 1;
            line.last_gap = Some(cause);
        });
        self.emit(Event::Reconnected);
        self.emit(Event::Gap(cause));
    }

    pub(super) fn slow_consumer(&self) {
        self.line.send_modify(|line| {
            line.gaps += 1;
            line.last_gap = Some(GapCause::SlowConsumer);
        });
        self.emit(Event::Gap(GapCause::SlowConsumer));
    }

    /// Waits until the connection is up and says which one it is: a log that was fetched under an earlier one is not good enough
    /// to publish on.
    pub(crate) async fn connected(&self) -> Result<u64> {
        if self.stop.is_cancelled() {
            return Err(Error::closed());
        }
        let mut line = self.line.subscribe();
        let up = async {
            match line.wait_for(|line| line.up).await {
                Ok(_) => Ok(self.session().generation()),
                Err(_) => Err(Error::closed()),
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => Err(Error::closed()),
            up = tokio::time::timeout(self.tuning.request_timeout, up) => up.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unreachable, "the data plane is not connected; the SDK keeps trying"))
            }),
        }
    }

    /// Limits how long a connection may take to accept what it is asked for. One that hangs, or is lost and about to be made
    /// anew, accepts nothing, and says nothing about that.
    pub(crate) async fn accepted<T>(&self, order: impl Future<Output = Result<T>>) -> Result<T> {
        let in_time = tokio::time::timeout(self.tuning.request_timeout, order);
        let hangs = "nothing was sent: the connection to the data plane takes nothing just now";
        self.until_stop(async {
            in_time.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unreachable, hangs)))
        })
        .await
    }

    /// Ends work when the bus is shut down.
    pub(crate) async fn until_stop<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(Error::closed()))
    }

    pub(crate) fn open_room(&self, id: &RoomId) -> Option<Arc<RoomCore>> {
        self.rooms.lock().get(id).and_then(Weak::upgrade)
    }

    pub(crate) fn open_rooms(&self) -> Vec<Arc<RoomCore>> {
        self.rooms.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Registers a room; when another call was faster its room is the one to use.
    pub(crate) fn register_room(&self, id: RoomId, room: &Arc<RoomCore>) -> Result<(), Arc<RoomCore>> {
        let mut rooms = self.rooms.lock();
        rooms.retain(|_, room| room.strong_count() > 0);
        if let Some(first) = rooms.get(&id).and_then(Weak::upgrade) {
            return Err(first);
        }
        rooms.insert(id, Arc::downgrade(room));
        Ok(())
    }

    pub(crate) fn pins(&self) -> Arc<Pins> {
        self.pins.lock().clone()
    }

    /// Reads the pins again: after a change here, or because another process may have made one.
    pub(crate) async fn reload_pins(&self) -> Result<Arc<Pins>> {
        let pins = Arc::new(self.state.pins().await?);
        *self.pins.lock() = pins.clone();
        Ok(pins)
    }

    /// Writes the windows of recently seen messages that have changed.
    pub(crate) async fn save_windows(&self) -> Result<()> {
        let mut outcome = Ok(());
        let left = std::mem::take(&mut *self.left.lock());
        for (room, seen) in left {
            if let Err(error) = self.state.save_freshness(room, seen.clone(), unix_millis()).await {
                self.leave_window(room, &seen);
                outcome = Err(error);
            }
        }
        for room in self.open_rooms() {
            if let Err(error) = room.save_window().await {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Takes over the window of a room that is let go, to be saved with the others.
    pub(crate) fn leave_window(&self, room: RoomId, seen: &Freshness) {
        self.left.lock().entry(room).or_default().merge(seen);
    }
}

impl std::fmt::Debug for BusCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BusCore").field("user", &self.user).finish_non_exhaustive()
    }
}
