//! The task behind a subscription: takes what NATS delivers, makes messages of it, and follows the room's access.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{OwnMessages, SubscribeOptions};
use crate::bus::Line;
use crate::error::{Error, ErrorKind, Result};
use crate::event::GapCause;
use crate::message::{Message, MessageError, MessageErrorKind};
use crate::receive::Receiver;
use crate::room::{Access, RoomCore, View};

pub(super) struct Pump {
    room: Arc<RoomCore>,
    options: SubscribeOptions,
    wires: SelectAll<async_nats::Subscriber>,
    receiver: Receiver,
    views: watch::Receiver<Arc<View>>,
    line: watch::Receiver<Line>,
    access: Access,
    gaps: u64,
    out: mpsc::Sender<Result<Message, MessageError>>,
    stop: CancellationToken,
}

/// The subscription has ended.
struct Ended;

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
        let receiver = Receiver::new(&room);
        let wires = listen(&room, &options).await?;
        room.barrier().await;
        Ok(Self { room, options, wires, receiver, views, line, access, gaps, out, stop })
    }

    pub(super) async fn run(mut self) {
        // An ended subscription has told its reader why, or its reader is gone.
        let Ended = self.pump().await;
    }

    async fn pump(&mut self) -> Ended {
        let (bus_stop, stop) = (self.room.bus.stop.clone(), self.stop.clone());
        loop {
            let step = tokio::select! {
                () = bus_stop.cancelled() => Err(Ended),
                () = stop.cancelled() => Err(Ended),
                Some(wire) = self.wires.next() => self.take(wire).await,
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

    async fn take(&mut self, wire: async_nats::Message) -> Result<(), Ended> {
        let item = self.receiver.receive(&self.room, wire).await;
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
            (Access::Frozen, Access::Open) => self.subscribe_again().await,
            _ => Ok(()),
        }
    }

    async fn subscribe_again(&mut self) -> Result<(), Ended> {
        match listen(&self.room, &self.options).await {
            Ok(wires) => {
                self.wires = wires;
                self.room.barrier().await;
                self.deliver(Err(MessageError::new(MessageErrorKind::Gap(GapCause::Frozen)))).await
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

    async fn deliver(&self, item: Result<Message, MessageError>) -> Result<(), Ended> {
        tokio::select! {
            () = self.room.bus.stop.cancelled() => Err(Ended),
            () = self.stop.cancelled() => Err(Ended),
            sent = self.out.send(item) => sent.map_err(|_| Ended),
        }
    }
}

/// Subscribes to the room's subject and what is below it, or to the part asked for.
async fn listen(room: &RoomCore, options: &SubscribeOptions) -> Result<SelectAll<async_nats::Subscriber>> {
    let subject = room.view().state().subject().to_string();
    let filters = match &options.filter {
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
    };
    let mut wires = SelectAll::new();
    for filter in filters {
        let queue = options.queue.as_ref().map(|queue| queue.as_str().to_owned());
        wires.push(room.listen(filter, queue).await?);
    }
    Ok(wires)
}
