//! The task behind a subscription: takes what NATS delivers, makes messages of it, and follows the room's access.

use std::sync::Arc;
use std::time::Duration;

use busauth::QueueGroup;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::moving::{Moving, Step};
use super::{OwnMessages, SubscribeOptions};
use crate::bus::{Line, Right, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Events, GapCause};
use crate::message::{Message, MessageError, MessageErrorKind};
use crate::receive::Receiver;
use crate::room::{Access, RoomCore, View};
use crate::wire::ends_subscription;

/// After the bus closed the subscription, the room is looked at this much later, and again when the look fails.
const LOOK_AFTER: Duration = Duration::from_millis(50);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A bus that closes the subscription so often in so short a time, and says each time that we are let in, is left.
const MAX_CLOSURES: u32 = 5;
const CLOSURES_WITHIN: Duration = Duration::from_secs(30);

/// What arrives on the subscriptions, with the index of each among [`filters`].
pub(super) type Wires = SelectAll<BoxStream<'static, (usize, async_nats::Message)>>;

pub(super) struct Pump {
    room: Arc<RoomCore>,
    options: SubscribeOptions,
    wires: Wires,
    moving: Moving,
    /// One for each subscription on the wire: there is no order between two of them.
    receivers: Vec<Receiver>,
    /// Carries what the bus says about closing one of them.
    events: Events,
    closures: Closures,
    views: watch::Receiver<Arc<View>>,
    line: watch::Receiver<Line>,
    access: Access,
    gaps: u64,
    out: mpsc::Sender<Result<Message, MessageError>>,
    stop: CancellationToken,
}

/// The subscription has ended.
struct Ended;

/// How often the bus closed the subscription lately, and what is to be done about it.
#[derive(Default)]
struct Closures {
    /// It is closed now.
    closed: bool,
    /// When the room is looked at because of that.
    look_at: Option<Instant>,
    count: u32,
    first: Option<Instant>,
}

impl Closures {
    /// The bus has perhaps closed the subscription.
    fn suspect(&mut self) {
        if !self.closed {
            self.closed = true;
            self.look_at = Some(Instant::now() + LOOK_AFTER);
        }
    }

    /// The bus has closed the subscription. Answers whether it did so too often.
    fn note(&mut self) -> bool {
        // Both subscriptions of a room are closed at once, and both are told.
        if self.closed {
            return false;
        }
        self.suspect();
        let now = Instant::now();
        if self.first.is_none_or(|first| now > first + CLOSURES_WITHIN) {
            (self.first, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count > MAX_CLOSURES
    }

    /// The subscription is closed, and the room was looked at since.
    fn was_looked_at(&self) -> bool {
        self.closed && self.look_at.is_none()
    }

    fn is_open_again(&mut self) {
        self.closed = false;
        self.look_at = None;
    }

    /// Resolves when the room is to be looked at.
    async fn due(&self) {
        match self.look_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

impl Pump {
    pub(super) async fn subscribe(
        room: Arc<RoomCore>,
        options: SubscribeOptions,
        out: mpsc::Sender<Result<Message, MessageError>>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let view = room.synced().await?;
        if view.access() == Access::Lost {
            return Err(Error::new(
                ErrorKind::NotAMember,
                "this identity is not a member of the room any more",
            ));
        }
        let mut views = room.views();
        let mut line = room.bus.line();
        let access = views.borrow_and_update().access();
        let gaps = line.borrow_and_update().gaps;
        let receivers = filters(&room, &options)?.iter().map(|_| Receiver::new(&room)).collect();
        let events = Events::new(room.bus.events());
        let moving = Moving::new(&room.bus);
        let wires = listen(&room, &options, moving.session()).await?;
        room.barrier().await;
        let closures = Closures::default();
        Ok(Self {
            room,
            options,
            wires,
            moving,
            receivers,
            events,
            closures,
            views,
            line,
            access,
            gaps,
            out,
            stop,
        })
    }

    pub(super) async fn run(mut self) {
        // An ended subscription has told its reader why, or its reader is gone.
        let Ended = self.pump().await;
    }

    async fn pump(&mut self) -> Ended {
        let (bus_stop, stop) = (self.room.bus.stop.clone(), self.stop.clone());
        loop {
            let under_way = self.moving.is_under_way();
            let step = tokio::select! {
                () = bus_stop.cancelled() => Err(Ended),
                () = stop.cancelled() => Err(Ended),
                step = self.moving.next() => match step {
                    Step::Move => self.follow_session().await,
                    Step::Take(from, wire) => self.take(from, *wire).await,
                    Step::Moved => Ok(()),
                },
                Some((from, wire)) = self.wires.next(), if !under_way => {
                    self.take(from, wire).await
                }
                event = self.events.next() => self.follow_event(event).await,
                () = self.closures.due() => self.look_why_closed().await,
                changed = self.views.changed() => match changed {
                    Ok(()) => self.follow_access().await,
                    Err(_) => Err(Ended),
                },
                changed = self.line.changed() => match changed {
                    Ok(()) => self.follow_line().await,
                    Err(_) => Err(Ended),
                },
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    async fn take(&mut self, from: usize, wire: async_nats::Message) -> Result<(), Ended> {
        // What is missing for it is fetched, which may take long on a bus that does not answer.
        let item = tokio::select! {
            () = self.room.bus.stop.cancelled() => return Err(Ended),
            () = self.stop.cancelled() => return Err(Ended),
            item = self.receivers[from].receive(&self.room, wire) => item,
        };
        if self.moving.had_before(&item) {
            return Ok(());
        }
        let own =
            item.as_ref().is_ok_and(|message| message.id.is_some_and(|id| self.room.was_sent_here(&id)));
        if own && self.options.own == OwnMessages::Skip {
            return Ok(());
        }
        self.deliver(item).await
    }

    async fn follow_access(&mut self) -> Result<(), Ended> {
        let access = self.views.borrow_and_update().access();
        let before = std::mem::replace(&mut self.access, access);
        match (before, access) {
            (_, Access::Lost) => {
                self.deliver(Err(MessageError::new(MessageErrorKind::RoomLost))).await?;
                Err(Ended)
            }
            // The bus closed the subscription when it froze the room.
            (Access::Frozen, Access::Open) => self.subscribe_again(GapCause::Frozen).await,
            // What lies between two looks is seen by nobody: a short freeze, or a member removed and added again.
            (_, Access::Open) if self.closures.was_looked_at() => {
                self.subscribe_again(GapCause::ShutOut).await
            }
            _ => Ok(()),
        }
    }

    /// Listens for the bus's word that it closed this subscription, or does not take it.
    async fn follow_event(&mut self, event: Option<Event>) -> Result<(), Ended> {
        let closed = match event {
            None => return Err(Ended),
            Some(Event::Refused { detail }) => {
                let queue = self.options.queue.as_ref().map(QueueGroup::as_str);
                filters(&self.room, &self.options)
                    .is_ok_and(|own| own.iter().any(|filter| ends_subscription(&detail, filter, queue)))
            }
            // It may have been among those that were dropped.
            Some(Event::Lagged(_)) => {
                self.closures.suspect();
                false
            }
            Some(_) => false,
        };
        if closed && self.closures.note() {
            self.deliver(Err(MessageError::new(MessageErrorKind::NotAdmitted))).await?;
            return Err(Ended);
        }
        Ok(())
    }

    /// The subscription is closed: what does the bus say about the room?
    async fn look_why_closed(&mut self) -> Result<(), Ended> {
        let look = tokio::select! {
            () = self.room.bus.stop.cancelled() => return Err(Ended),
            () = self.stop.cancelled() => return Err(Ended),
            look = self.room.look_up() => look,
        };
        // A frozen room is followed by its access from here on; nobody knows what a failure means.
        self.closures.look_at = look.is_err().then(|| Instant::now() + LOOK_AGAIN_AFTER);
        if look.is_ok() { self.follow_access().await } else { Ok(()) }
    }

    /// Listens on the connection that is in use now, and goes on with the old one until nothing comes from there.
    async fn follow_session(&mut self) -> Result<(), Ended> {
        let over = self.moving.session().over().is_cancelled();
        let left = self.moving.follow();
        match listen(&self.room, &self.options, self.moving.session()).await {
            Ok(wires) => {
                self.room.barrier().await;
                self.moving.begin(std::mem::replace(&mut self.wires, wires), left);
            }
            Err(_) => return Err(Ended),
        }
        // The reader was so slow that the old connection ended before this one listened on the new one.
        if over {
            self.deliver(Err(MessageError::new(MessageErrorKind::Gap(GapCause::SlowConsumer)))).await
        } else {
            Ok(())
        }
    }

    async fn subscribe_again(&mut self, cause: GapCause) -> Result<(), Ended> {
        // Where rights are fixed at a login, the next connection has them.
        let right =
            if self.room.view().state().may_write(&self.room.bus.user) { Right::Write } else { Right::Read };
        self.room.bus.admitted(&self.room.id, right).await;
        drop(self.moving.follow());
        // What the bus said before is about the subscription that is replaced.
        while let Some(Some(_)) = self.events.next().now_or_never() {}
        self.closures.is_open_again();
        match listen(&self.room, &self.options, self.moving.session()).await {
            Ok(wires) => {
                self.wires = wires;
                self.room.barrier().await;
                self.deliver(Err(MessageError::new(MessageErrorKind::Gap(cause)))).await
            }
            // The connection is gone for good.
            Err(_) => Err(Ended),
        }
    }

    async fn follow_line(&mut self) -> Result<(), Ended> {
        let line = *self.line.borrow_and_update();
        if line.gaps == self.gaps {
            return Ok(());
        }
        self.gaps = line.gaps;
        match line.last_gap {
            Some(cause) => self.deliver(Err(MessageError::new(MessageErrorKind::Gap(cause)))).await,
            None => Ok(()),
        }
    }

    async fn deliver(&mut self, item: Result<Message, MessageError>) -> Result<(), Ended> {
        tokio::select! {
            () = self.room.bus.stop.cancelled() => Err(Ended),
            () = self.stop.cancelled() => Err(Ended),
            sent = self.out.send(item) => sent.map_err(|_| Ended),
        }
    }
}

/// The room's subject and what is below it, or the part asked for.
fn filters(room: &RoomCore, options: &SubscribeOptions) -> Result<Vec<String>> {
    let subject = room.view().state().subject().to_string();
    Ok(match &options.filter {
        None => vec![subject.clone(), format!("{subject}.>")],
        Some(filter) => {
            // The filter's literal beginning decides, since a room's subject has no wildcards.
            let within = filter.as_str() == subject || filter.as_str().starts_with(&format!("{subject}."));
            if !within {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("{filter} is not within the room's subject {subject}"),
                ));
            }
            vec![filter.to_string()]
        }
    })
}

async fn listen(room: &RoomCore, options: &SubscribeOptions, session: &Session) -> Result<Wires> {
    let mut wires = Wires::new();
    for (index, filter) in filters(room, options)?.into_iter().enumerate() {
        let queue = options.queue.as_ref().map(|queue| queue.as_str().to_owned());
        let wire = RoomCore::listen_on(session, filter, queue).await?;
        wires.push(wire.map(move |message| (index, message)).boxed());
    }
    Ok(wires)
}
