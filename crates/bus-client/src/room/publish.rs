//! Sending: on a head fetched since the connection was made, signed, and encrypted where the room is.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use busauth::Subject;
use bytes::Bytes;
use control_api::history::{Operation, RpcSubject, header};
use room_protocol::message::{MessageDraft, SealMessageError, SealedMessage, seal_message};
use room_protocol::{Encryption, Head, History, MessageId, reply_subject};

use tokio::time::{Instant, sleep};

use super::Room;
use super::core::{RoomCore, unix_millis};
use super::view::{Access, View};
use crate::bus::{Listening, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use crate::message::{Message, MessageError};
use crate::receive::Receiver;
use crate::rpc;

/// How long a subscription waits for the bus to confirm it.
const BARRIER: Duration = Duration::from_secs(2);

/// What a message grows by at most: headers, and nonce and tag of the encryption.
const OVERHEAD: usize = 1024;
/// The same where messages are kept: what the bus says about one when it is read has to fit as well.
const KEPT_OVERHEAD: usize = 8 * 1024;

/// How often a message is sent until the bus says that it is stored.
const ATTEMPTS: u32 = 3;
/// Between two of them.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a message goes out.
enum Way {
    Plain,
    /// With where replies go.
    Reply(String),
    /// Through the bus, which answers there when it is stored.
    Stored(String),
}

impl Room {
    /// Sends a message on the room's subject.
    ///
    /// It is on its way when this returns; NATS does not confirm that it arrived. [`Room::flush`] waits until the bus has
    /// taken it.
    pub async fn publish(&self, payload: impl Into<Bytes>) -> Result<MessageId> {
        let subject = self.subject();
        self.core.publish(subject.as_str(), &payload.into(), None).await
    }

    /// Sends a message below the room's subject: `below` is `"alerts"`, or the whole subject `"lab.sensors.alerts"`.
    pub async fn publish_on(&self, below: &str, payload: impl Into<Bytes>) -> Result<MessageId> {
        let subject = self.core.within(below)?;
        self.core.publish(subject.as_str(), &payload.into(), None).await
    }

    /// Sends a message on the room's subject and waits until the bus has stored it; returns its number in the room's
    /// history. For rooms that keep their messages.
    ///
    /// When the bus does not answer, the very same message is sent again, and stored once. When it cannot store the message,
    /// the error says why at once; [`ErrorKind::StorageFull`] is a full disk. Members who listen have got it all the same.
    pub async fn publish_stored(&self, payload: impl Into<Bytes>) -> Result<(MessageId, u64)> {
        let subject = self.subject();
        self.core.publish_stored(subject.as_str(), &payload.into()).await
    }

    /// The same below the room's subject.
    pub async fn publish_stored_on(
        &self,
        below: &str,
        payload: impl Into<Bytes>,
    ) -> Result<(MessageId, u64)> {
        let subject = self.core.within(below)?;
        self.core.publish_stored(subject.as_str(), &payload.into()).await
    }

    /// Sends a message and waits for the first verified reply.
    ///
    /// Any member that may write can reply. What arrives at the reply subject and does not verify is passed over;
    /// if nothing else comes, the error says why the last of it was refused.
    pub async fn request(&self, payload: impl Into<Bytes>, timeout: Duration) -> Result<Message> {
        let subject = self.subject();
        self.core.request(subject.as_str(), &payload.into(), timeout).await
    }

    /// The same below the room's subject.
    pub async fn request_on(
        &self,
        below: &str,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Message> {
        let subject = self.core.within(below)?;
        self.core.request(subject.as_str(), &payload.into(), timeout).await
    }

    /// Waits until the bus has taken everything sent before.
    ///
    /// An error says that it refuses what this identity sends here, or did not answer.
    pub async fn flush(&self) -> Result<()> {
        self.core.flush().await
    }
}

impl RoomCore {
    pub(crate) async fn publish(
        &self,
        subject: &str,
        payload: &Bytes,
        reply: Option<String>,
    ) -> Result<MessageId> {
        let id = MessageId::new(unix_millis(), rand::random());
        let way = reply.map_or(Way::Plain, Way::Reply);
        self.publish_as(id, subject, payload, way).await?;
        Ok(id)
    }

    async fn publish_as(&self, id: MessageId, subject: &str, payload: &Bytes, way: Way) -> Result<()> {
        let sealed = self.seal(subject, id, payload).await?;
        // In a box because it is large, and so would be every future around it.
        let sending = Box::pin(self.send_in_turn(id, subject, payload, sealed, way));
        // Whoever waits for the connection keeps others from sending, and from going over to another connection.
        self.bus.accepted(sending).await
    }

    async fn send_in_turn(
        &self,
        id: MessageId,
        subject: &str,
        payload: &Bytes,
        (mut sealed, head): (SealedMessage, Head),
        way: Way,
    ) -> Result<()> {
        let _turn = self.sending.lock().await;
        if self.view().head() != head {
            // Another message may have gone out on the newer head already; receivers take none on an older one after it.
            (sealed, _) = self.seal(subject, id, payload).await?;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in sealed.headers {
            headers.insert(name, value);
        }
        self.note_sent(id);
        let _session_stays = self.bus.handover.read().await;
        let session = self.bus.session();
        let nats = session.client();
        let body = sealed.payload.into();
        let sent = match way {
            Way::Plain => nats.publish_with_headers(subject.to_owned(), headers, body).await,
            Way::Reply(reply) => {
                nats.publish_with_reply_and_headers(subject.to_owned(), reply, headers, body).await
            }
            Way::Stored(reply) => {
                headers.insert(header::PUBLISH, subject);
                let asked = RpcSubject { user: self.bus.user, room: self.id, operation: Operation::Publish };
                nats.publish_with_reply_and_headers(asked.to_string(), reply, headers, body).await
            }
        };
        sent.map_err(|source| Error::new(ErrorKind::Closed, "the message was not sent").with_source(source))
    }

    async fn publish_stored(&self, subject: &str, payload: &Bytes) -> Result<(MessageId, u64)> {
        if self.view().state().history() == History::None {
            let detail = "the room was made without history: nothing of it is kept";
            return Err(Error::new(ErrorKind::NoHistory, detail));
        }
        let id = MessageId::new(unix_millis(), rand::random());
        let give_up = Instant::now() + self.bus.tuning.request_timeout;
        let mut pause = FIRST_PAUSE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.try_to_store(id, subject, payload).await {
                Ok(seq) => return Ok((id, seq)),
                Err(error) => error,
            };
            let again = match error.kind() {
                ErrorKind::Timeout => attempt < ATTEMPTS,
                // A node may be gone, and another take over what it did.
                ErrorKind::Unavailable => Instant::now() + pause < give_up,
                ErrorKind::NotAMember | ErrorKind::NotPermitted | ErrorKind::RoomFrozen => {
                    // The node that answered may know of a right later than the one that granted it.
                    self.look_whether_sending().await?;
                    attempt < ATTEMPTS
                }
                _ => false,
            };
            if !again {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "a message is sent again, to be stored once");
            match self.bus.stop.run_until_cancelled(sleep(pause)).await {
                Some(()) => pause = (pause * 2).min(LONGEST_PAUSE),
                None => return Err(Error::closed()),
            }
        }
    }

    /// Asks the bus to publish the message and to say when it is stored.
    async fn try_to_store(&self, id: MessageId, subject: &str, payload: &Bytes) -> Result<u64> {
        self.bus.connected().await?;
        let mut line = self.bus.line();
        let before = line.borrow_and_update().generation;
        let inbox = self.bus.session().client().new_inbox();
        let mut answers = self.listen(inbox.clone()).await?;
        self.publish_as(id, subject, payload, Way::Stored(inbox)).await?;
        let lost = async {
            // What was on its way on the old connection is answered to nobody.
            if line.wait_for(|line| line.generation != before).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let unknown = || {
            let detail = "the bus did not say that it stored the message; it may have";
            Err(Error::new(ErrorKind::Timeout, detail))
        };
        tokio::select! {
            () = self.bus.stop.cancelled() => Err(Error::closed()),
            answer = tokio::time::timeout(self.bus.tuning.request_timeout, answers.next()) => match answer {
                Ok(Some(answer)) => rpc::stored_at(&answer),
                Ok(None) | Err(_) => unknown(),
            },
            () = lost => unknown(),
        }
    }

    /// The message as it goes over the wire, and the head it was written on.
    async fn seal(&self, subject: &str, id: MessageId, payload: &Bytes) -> Result<(SealedMessage, Head)> {
        let kept = self.view().state().history() != History::None;
        let overhead = if kept { KEPT_OVERHEAD } else { OVERHEAD };
        let longest = self.bus.session().client().max_payload().saturating_sub(overhead);
        if payload.len() > longest {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("a message may have {longest} bytes on this bus, not {}", payload.len()),
            ));
        }
        let view = self.synced().await?;
        view.check_sending()?;
        match self.seal_on(&view, subject, id, payload).await {
            // Our log is behind the key, or the key behind our log: look again once.
            Err(error) if error.kind() == ErrorKind::KeyMissing => {
                let view = self.sync().await?;
                view.check_sending()?;
                self.seal_on(&view, subject, id, payload).await
            }
            outcome => outcome,
        }
    }

    async fn seal_on(
        &self,
        view: &View,
        subject: &str,
        id: MessageId,
        payload: &Bytes,
    ) -> Result<(SealedMessage, Head)> {
        let state = view.state();
        let key = match state.epoch() {
            Some(epoch) if state.may_write(&self.bus.user) => Some(self.epoch_key(epoch.n).await?),
            _ => None,
        };
        let draft = MessageDraft { subject, id, payload };
        let sealed = seal_message(state, &self.bus.identity, key.as_ref(), draft, &mut rand::rng());
        sealed.map(|sealed| (sealed, view.head())).map_err(|source| {
            let kind = match source {
                SealMessageError::RoomClosed => ErrorKind::RoomClosed,
                SealMessageError::NotAWriter if state.role_of(&self.bus.user).is_none() => {
                    ErrorKind::NotAMember
                }
                SealMessageError::NotAWriter => ErrorKind::NotPermitted,
                SealMessageError::KeyMissing(_) | SealMessageError::WrongKey(_) => ErrorKind::KeyMissing,
                _ => ErrorKind::Invalid,
            };
            Error::new(kind, source.to_string()).with_source(source)
        })
    }

    async fn request(self: &Arc<Self>, subject: &str, payload: &Bytes, timeout: Duration) -> Result<Message> {
        let reply = reply_subject(&self.id, rand::random());
        let mut replies = self.listen(reply.clone()).await?;
        let mut receiver = Receiver::new(self);
        self.publish(subject, payload, Some(reply)).await?;
        let mut refused: Option<MessageError> = None;
        let first = async {
            while let Some(wire) = replies.next().await {
                if wire.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        "nobody in the room is listening for requests",
                    ));
                }
                match receiver.receive(self, wire).await {
                    Ok(message) => return Ok(message),
                    Err(error) => refused = Some(error),
                }
            }
            Err(Error::closed())
        };
        let outcome = tokio::select! {
            () = self.bus.stop.cancelled() => Err(Error::closed()),
            outcome = tokio::time::timeout(timeout, first) => outcome.unwrap_or_else(|_| {
                Err(match refused {
                    Some(refused) => Error::new(ErrorKind::Timeout, format!("no valid reply in time; one was refused: {refused}"))
                        .with_source(refused),
                    None => Error::new(ErrorKind::Timeout, "nobody replied in time"),
                })
            }),
        };
        replies.unsubscribe().await;
        outcome
    }

    /// Subscribes on the connection in use, which stays until what is returned is dropped.
    pub(crate) async fn listen(&self, filter: String) -> Result<Listening> {
        let session = self.bus.session();
        let subscriber = self.bus.accepted(Self::listen_on(&session, filter, None)).await?;
        Ok(Listening::new(&session, subscriber))
    }

    /// Subscribes; without an answer, since NATS gives none.
    pub(crate) async fn listen_on(
        session: &Session,
        filter: String,
        queue: Option<String>,
    ) -> Result<async_nats::Subscriber> {
        let nats = session.client();
        let subscribed = match queue {
            Some(queue) => nats.queue_subscribe(filter, queue).await,
            None => nats.subscribe(filter).await,
        };
        subscribed.map_err(|source| {
            Error::new(ErrorKind::Closed, "the subscription was not sent").with_source(source)
        })
    }

    /// A message to ourselves, behind everything sent before on the same connection. Who may not send it may not send to the room
    /// either: both rights come and go together.
    async fn flush(&self) -> Result<()> {
        self.bus.connected().await?;
        let reply = reply_subject(&self.id, rand::random());
        let mut events = Events::new(self.bus.events());
        let session = self.bus.session();
        let asked = async {
            let subscriber = Self::listen_on(&session, reply.clone(), None).await?;
            let published = session.client().publish(reply.clone(), Bytes::new()).await;
            published.map_err(|source| {
                Error::new(ErrorKind::Closed, "the connection is closed").with_source(source)
            })?;
            Ok(Listening::new(&session, subscriber))
        };
        let mut echo = self.bus.accepted(asked).await?;
        let refused = async {
            while let Some(event) = events.next().await {
                if matches!(&event, Event::Refused { detail } if detail.contains(&reply)) {
                    return;
                }
            }
        };
        let outcome = tokio::select! {
            returned = tokio::time::timeout(self.bus.tuning.request_timeout, echo.next()) => match returned {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(Error::closed()),
                Err(_) => Err(Error::new(ErrorKind::Timeout, "the bus did not confirm in time that it took the messages")),
            },
            () = refused => Err(self.why_refused().await),
        };
        echo.unsubscribe().await;
        outcome
    }

    /// The bus refused what our view of the room allowed: whether a newer one still does.
    async fn look_whether_sending(&self) -> Result<()> {
        self.sync().await?;
        self.look_up().await?;
        let view = self.view();
        view.check_sending()?;
        if view.state().may_write(&self.bus.user) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotPermitted, "readers of a room do not write in it"))
    }

    /// The bus refused what our view of the room allows, so the view is old.
    async fn why_refused(&self) -> Error {
        self.look_whether_sending().await.err().unwrap_or_else(|| {
            Error::new(ErrorKind::NotPermitted, "the bus does not take messages of this identity in the room")
        })
    }

    /// Waits, not for long, until the bus has processed what was sent before, subscriptions above all.
    ///
    /// Who may write has a way to hear the bus's echo; who may not asks for something that nobody serves.
    pub(crate) async fn barrier(&self) {
        let view = self.view();
        let echo = view.state().may_write(&self.bus.user) && view.access() == Access::Open;
        let processed = async {
            if echo {
                drop(self.flush().await);
            } else {
                let nobody = format!("{}.barrier", control_api::subjects::user_requests(&self.bus.user));
                drop(self.bus.session().client().request(nobody, Bytes::new()).await);
            }
        };
        if tokio::time::timeout(BARRIER, processed).await.is_err() {
            tracing::debug!(room = %self.id, "the bus did not confirm the subscription in time");
        }
    }

    /// A subject of the room from what a caller wrote: the whole subject, or what comes below the room's.
    fn within(&self, below: &str) -> Result<Subject> {
        let view = self.view();
        let room = view.state().subject();
        let whole = if room.covers(below) { below.to_owned() } else { format!("{room}.{below}") };
        whole.parse().map_err(|source: busauth::SubjectError| {
            Error::new(ErrorKind::Invalid, format!("{below:?} is not a subject: {source}"))
                .with_source(source)
        })
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.view().state().encryption() == Encryption::E2e
    }
}
