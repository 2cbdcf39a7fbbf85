//! What a room's handles, subscriptions and task share, and how it follows the membership log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use busauth::UserId;
use control_api::RoomInfo;
use parking_lot::Mutex;
use room_protocol::message::Freshness;
use room_protocol::{Fork, Head, LogLie, MessageId, RoomId, RoomLog, SignedStatement};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::keys::KeyRing;
use super::ledger::{self, Found};
use super::rekey::{Pending, revoked_members};
use super::view::{Access, View};
use crate::bus::{BusCore, Right};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::state::{RoomRecord, Suspicion};
use crate::wire;

/// Own messages remembered so that a subscription can leave them out.
const OWN_MESSAGES: usize = 1024;

pub(crate) struct RoomCore {
    pub(crate) bus: Arc<BusCore>,
    pub(crate) id: RoomId,
    view: watch::Sender<Arc<View>>,
    /// One look at the server's log at a time.
    looking: tokio::sync::Mutex<()>,
    pub(super) keys: KeyRing,
    window: Mutex<Window>,
    sent: Mutex<VecDeque<MessageId>>,
    pub(super) look: Arc<Notify>,
    pub(super) pending: Pending,
    /// Held while a message is handed to the connection, so that none overtakes one on an older head.
    pub(super) sending: tokio::sync::Mutex<()>,
    /// Counts the histories of the room that were believed: more than one only when a person decided so.
    histories: AtomicU64,
    /// The bus closed the subscription to hints.
    hints_closed: AtomicBool,
    /// Ends the room's task with its last handle.
    pub(super) stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Window {
    seen: Freshness,
    unsaved: bool,
}

impl Drop for RoomCore {
    fn drop(&mut self) {
        self.stop.cancel();
        let window = self.window.get_mut();
        if window.unsaved {
            self.bus.leave_window(self.id, &window.seen);
        }
    }
}

impl RoomCore {
    /// The room, verified and at the server's head. The same object for as long as anybody holds it.
    pub(crate) async fn open(bus: &Arc<BusCore>, id: RoomId) -> Result<Arc<Self>> {
        if let Some(open) = bus.open_room(&id) {
            return Ok(open);
        }
        let generation = bus.connected().await?;
        // An earlier object for this room may have left a window that is not saved yet.
        bus.save_windows().await?;
        let record = bus.state.room(id).await?;
        let stored = stored_log(id, &record);
        let found = ledger::catch_up(&bus.control, id, stored.as_ref(), 0).await?;
        // There is nothing to go back behind where nothing is stored.
        let (log, suspicion) =
            first_view(stored.as_ref(), &record, found).ok_or_else(|| damaged_log(bus, &id))?;
        let seen = record.freshness.unwrap_or_else(|| bus.state.first_window(unix_millis()));
        let view = View {
            log: Arc::new(log),
            synced: generation,
            suspicion: record.suspicion,
            access: Access::Open,
        };
        let room = Arc::new(Self {
            bus: bus.clone(),
            id,
            view: watch::Sender::new(Arc::new(view)),
            looking: tokio::sync::Mutex::new(()),
            keys: KeyRing::default(),
            window: Mutex::new(Window { seen, unsaved: false }),
            sent: Mutex::default(),
            look: Arc::default(),
            pending: Pending::default(),
            sending: tokio::sync::Mutex::new(()),
            histories: AtomicU64::new(1),
            hints_closed: AtomicBool::new(false),
            stop: bus.stop.child_token(),
        });
        if let Some((suspicion, offered)) = suspicion {
            room.suspect(suspicion, offered).await?;
        } else {
            room.remember_log(0).await?;
        }
        if let Err(first) = bus.register_room(id, &room) {
            return Ok(first);
        }
        bus.admitted(&id, Right::Hear).await;
        // Frozen or not, and who was revoked, is not in the log.
        let info = room.look_up().await?;
        super::watch::start(&room).await?;
        room.schedule_duty(&revoked_members(&info));
        Ok(room)
    }

    /// What is known now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    pub(crate) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Asks the room's task to look at the server again.
    pub(crate) fn look_again(&self) {
        self.look.notify_one();
    }

    /// Catches up with the server's log. Fails when it cannot, and when what the server offers is not to be believed.
    pub(crate) async fn sync(&self) -> Result<Arc<View>> {
        let _one_at_a_time = self.looking.lock().await;
        let generation = self.bus.connected().await?;
        let before = self.view();
        let caught_up = ledger::catch_up(&self.bus.control, self.id, Some(&before.log), unix_millis()).await;
        let found = match caught_up {
            Ok(found) => found,
            Err(error) => return Err(self.note_failure(error)),
        };
        match found {
            Found::Current(log) => self.adopt(log, generation).await?,
            Found::RolledBack { offered } => {
                let suspicion = Suspicion::RolledBack { known: before.head(), offered };
                self.suspect_once(&before, suspicion, Vec::new()).await?;
            }
            Found::Forked { fork, offered } => {
                self.suspect_once(&before, forked(fork), texts(&offered)).await?;
            }
        }
        Ok(self.view())
    }

    /// Up to date with the server since the connection was last made: what publishing needs.
    pub(crate) async fn synced(&self) -> Result<Arc<View>> {
        let generation = self.bus.connected().await?;
        let view = self.view();
        if view.synced == generation { Ok(view) } else { self.sync().await }
    }

    /// Takes over a log that contains ours, and says what is new.
    async fn adopt(&self, log: RoomLog, generation: u64) -> Result<()> {
        let before = self.view();
        let healed = before.suspicion.is_some_and(|suspicion| heals(suspicion, &log));
        let head = log.head();
        let grew = head.seq > before.head().seq;
        let log = Arc::new(log);
        self.change_view(|view| {
            view.log = log;
            view.synced = generation;
        });
        if grew {
            self.remember_log(before.head().seq).await?;
            self.announce(&before);
        }
        if healed {
            self.bus.state.set_suspicion(self.id, None).await?;
            self.change_view(|view| view.suspicion = None);
            self.bus.emit(Event::LogRestored { room: self.id });
        }
        Ok(())
    }

    /// An entry of our own that the server has accepted.
    pub(super) async fn adopt_own(&self, entry: &SignedStatement) -> Result<()> {
        let _one_at_a_time = self.looking.lock().await;
        let before = self.view();
        if before.head().seq >= entry.statement().seq {
            return Ok(());
        }
        let mut log = RoomLog::clone(&before.log);
        log.extend(entry.clone(), unix_millis()).map_err(|error| {
            Error::new(ErrorKind::InvalidLog, format!("the server accepted what breaks the log: {error}"))
        })?;
        let generation = before.synced;
        self.adopt(log, generation).await
    }

    /// Writes entries after number `before` and the head. What another process knows better stops us here.
    async fn remember_log(&self, before: u64) -> Result<()> {
        let view = self.view();
        let entries = view.log.entries_after(before).iter().map(|entry| entry.as_str().to_owned()).collect();
        let log = view.log.clone();
        let whole = move || texts(&log);
        let written = self.bus.state.extend_log(self.id, before + 1, entries, view.head(), whole).await?;
        let Err(conflict) = written else { return Ok(()) };
        let ours = view.log.hash_at(conflict.seq);
        let (Ok(stored), Some(hash)) = (conflict.stored.parse::<SignedStatement>(), ours) else {
            return Err(damaged_log(&self.bus, &self.id));
        };
        let suspicion = Suspicion::Forked { known: stored.head(), other: Head { seq: conflict.seq, hash } };
        self.suspect(suspicion, vec![conflict.stored]).await
    }

    async fn suspect_once(&self, before: &View, suspicion: Suspicion, offered: Vec<String>) -> Result<()> {
        if before.suspicion == Some(suspicion) {
            return Ok(());
        }
        self.suspect(suspicion, offered).await
    }

    /// The server contradicts what is known: keep the evidence, stop sending, say so.
    async fn suspect(&self, suspicion: Suspicion, offered: Vec<String>) -> Result<()> {
        let known = texts(&self.view().log);
        self.change_view(|view| view.suspicion = Some(suspicion));
        let room = self.id;
        tracing::warn!(%room, ?suspicion, "the server contradicts the membership log known here; sending has stopped");
        self.bus.emit(match suspicion {
            Suspicion::RolledBack { known, offered } => Event::RolledBack { room, known, offered },
            Suspicion::Forked { known, other } => Event::Forked { room, known, other, shown_by: None },
        });
        self.bus.state.set_suspicion(room, Some(suspicion)).await?;
        self.bus.state.keep_evidence(room, suspicion, known, offered).await
    }

    /// A member's signed message names another history. That is not the server's word, so sending goes on.
    pub(crate) fn report_fork(&self, fork: Fork, shown_by: UserId) {
        let at = |hash| Head { seq: fork.seq, hash };
        let (known, other) = (at(fork.ours), at(fork.theirs));
        self.bus.emit(Event::Forked { room: self.id, known, other, shown_by: Some(shown_by) });
    }

    /// A person has decided to believe the server: its log is verified from the start and replaces ours.
    pub(super) async fn accept_server_log(&self) -> Result<()> {
        let _one_at_a_time = self.looking.lock().await;
        let generation = self.bus.connected().await?;
        let found = ledger::catch_up(&self.bus.control, self.id, None, 0).await?;
        let Found::Current(log) = found else { return Err(Error::closed()) };
        self.bus.state.forget_log(self.id).await?;
        self.change_view(|view| {
            view.log = Arc::new(log);
            view.synced = generation;
            view.suspicion = None;
        });
        // Keys and heads of the history that is given up mean nothing in this one.
        self.keys.clear();
        self.note_seen(Freshness::forget_heads);
        self.histories.fetch_add(1, Ordering::AcqRel);
        self.remember_log(0).await
    }

    /// What the server says about the room beside its log: frozen or not, and who was revoked.
    pub(crate) async fn look_up(&self) -> Result<RoomInfo> {
        let info: RoomInfo = match self.bus.control.get(&format!("/v1/rooms/{}", self.id)).await {
            Ok(info) => info,
            Err(error) => return Err(self.note_failure(error)),
        };
        self.set_access(if info.room.frozen { Access::Frozen } else { Access::Open });
        Ok(info)
    }

    fn note_failure(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::NotAMember | ErrorKind::NotFound | ErrorKind::Forbidden => {
                self.set_access(Access::Lost);
            }
            ErrorKind::InvalidLog => {
                self.bus.emit(Event::InvalidLog { room: self.id, violation: error.to_string() });
            }
            _ => {}
        }
        error
    }

    fn set_access(&self, access: Access) {
        let before = self.view().access;
        if before == access {
            return;
        }
        self.change_view(|view| view.access = access);
        let room = self.id;
        match (before, access) {
            (_, Access::Lost) => self.bus.emit(Event::RoomLost { room }),
            (_, Access::Frozen) => self.bus.emit(Event::RoomFrozen { room, frozen: true }),
            (Access::Frozen, _) => self.bus.emit(Event::RoomFrozen { room, frozen: false }),
            _ => {}
        }
    }

    fn announce(&self, before: &View) {
        let after = self.view();
        let room = self.id;
        self.bus.emit(Event::LogAdvanced { room, head: after.head() });
        let epoch = after.state().epoch().map(|epoch| epoch.n);
        if let Some(epoch) = epoch
            && before.state().epoch().map(|epoch| epoch.n) != Some(epoch)
        {
            self.bus.emit(Event::EpochChanged { room, epoch });
        }
        let pins = self.bus.pins();
        for member in after.state().members().filter(|member| member.since > before.head().seq) {
            if pins.check_handle(&member.handle, member.user).is_err() {
                let handle = member.handle.clone();
                self.bus.emit(Event::HandleConflict { room, handle, user: member.user });
            }
        }
    }

    fn change_view(&self, change: impl FnOnce(&mut View)) {
        self.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    /// Which history is believed.
    pub(crate) fn history(&self) -> u64 {
        self.histories.load(Ordering::Acquire)
    }

    /// The bus refused something: perhaps it closed the subscription to this room's hints.
    pub(crate) fn note_refusal(&self, detail: &str) {
        let hints = control_api::subjects::room_event(&self.id);
        if wire::ends_subscription(detail, hints.as_str(), None) {
            self.hints_closed.store(true, Ordering::Release);
        }
        self.look_again();
    }

    /// What the bus refused is not known: perhaps the subscription to this room's hints.
    pub(crate) fn note_lost_reports(&self) {
        self.hints_closed.store(true, Ordering::Release);
        self.look_again();
    }

    pub(super) fn hints_closed(&self) -> &AtomicBool {
        &self.hints_closed
    }

    /// The messages seen lately, for a new subscription to start from.
    pub(crate) fn seen(&self) -> Freshness {
        self.window.lock().seen.clone()
    }

    /// Notes what a subscription has seen.
    pub(crate) fn note_seen(&self, note: impl FnOnce(&mut Freshness)) {
        let mut window = self.window.lock();
        note(&mut window.seen);
        window.unsaved = true;
    }

    pub(crate) async fn save_window(&self) -> Result<()> {
        let seen = {
            let mut window = self.window.lock();
            if !window.unsaved {
                return Ok(());
            }
            window.unsaved = false;
            window.seen.clone()
        };
        let saved = self.bus.state.save_freshness(self.id, seen, unix_millis()).await;
        if saved.is_err() {
            self.window.lock().unsaved = true;
        }
        saved
    }

    pub(super) fn note_sent(&self, id: MessageId) {
        let mut sent = self.sent.lock();
        if sent.len() == OWN_MESSAGES {
            sent.pop_front();
        }
        sent.push_back(id);
    }

    pub(crate) fn was_sent_here(&self, id: &MessageId) -> bool {
        self.sent.lock().contains(id)
    }
}

impl std::fmt::Debug for RoomCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoomCore").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The log as stored, verified anew: the file may be damaged, and then the server is asked for everything.
fn stored_log(id: RoomId, record: &RoomRecord) -> Option<RoomLog> {
    if record.log.is_empty() {
        return None;
    }
    let entries: Result<Vec<SignedStatement>, _> = record.log.iter().map(|entry| entry.parse()).collect();
    match entries.map(RoomLog::verify) {
        Ok(Ok(log)) if log.state().id() == id => Some(log),
        _ => {
            tracing::warn!(room = %id, "the stored log is damaged and is fetched again");
            None
        }
    }
}

type Contradiction = (Suspicion, Vec<String>);

/// What is stored cannot be compared with anything. Nothing is lost with it but the entries: the head is in another file.
fn damaged_log(bus: &BusCore, id: &RoomId) -> Error {
    let place = bus.state.place_of_log(id);
    let text = format!(
        "the stored log of the room is damaged: move {place} away, and it is fetched and verified anew"
    );
    Error::new(ErrorKind::State, text)
}

/// Compares what the server offers at the first look with what is stored. `None`: it contradicts what is not there.
fn first_view(
    stored: Option<&RoomLog>,
    record: &RoomRecord,
    found: Found,
) -> Option<(RoomLog, Option<Contradiction>)> {
    match found {
        Found::RolledBack { offered } => {
            let log = stored?.clone();
            let suspicion = Suspicion::RolledBack { known: log.head(), offered };
            Some((log, Some((suspicion, Vec::new()))))
        }
        Found::Forked { fork, offered } => Some((stored?.clone(), Some((forked(fork), texts(&offered))))),
        Found::Current(log) => {
            let lie = record.head.and_then(|known| log.check_pinned(&known).err());
            let contradiction = lie.map(|lie| {
                let suspicion = match lie {
                    LogLie::RolledBack { pinned, offered } => {
                        Suspicion::RolledBack { known: pinned, offered }
                    }
                    LogLie::Forked(fork) => forked(fork),
                };
                (suspicion, texts(&log))
            });
            Some((log, contradiction))
        }
    }
}

fn forked(fork: Fork) -> Suspicion {
    let at = |hash| Head { seq: fork.seq, hash };
    Suspicion::Forked { known: at(fork.ours), other: at(fork.theirs) }
}

fn texts(log: &RoomLog) -> Vec<String> {
    log.entries().iter().map(|entry| entry.as_str().to_owned()).collect()
}

/// Milliseconds since 1970 by this computer's clock.
pub(crate) fn unix_millis() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a log that contains ours answers the suspicion: the server has again what it had lost.
fn heals(suspicion: Suspicion, log: &RoomLog) -> bool {
    match suspicion {
        Suspicion::RolledBack { known, .. } => log.hash_at(known.seq) == Some(known.hash),
        Suspicion::Forked { .. } => false,
    }
}
