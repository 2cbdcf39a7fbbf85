//! What is sent to an asker.

use std::sync::Arc;

use async_nats::HeaderMap;
use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::history::{RpcErrorCode, header};
use control_plane::{AccessTable, HistoryRefusal};
use membership_store::RoomAccess;
use room_protocol::RoomId;

use super::gate::Gate;

/// Who asks, what for, and where the answer goes.
pub(super) struct Asker {
    gate: Arc<Gate>,
    access: AccessTable,
    user: UserId,
    room: RoomId,
    reply: Subject,
}

/// One message of an answer.
pub(super) struct Outgoing {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What the asker has to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Work,
}

impl Asker {
    pub(super) fn new(
        gate: &Arc<Gate>,
        access: &AccessTable,
        user: UserId,
        room: RoomId,
        reply: Subject,
    ) -> Self {
        Self { gate: Arc::clone(gate), access: access.clone(), user, room, reply }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn user(&self) -> UserId {
        self.user
    }

    pub(super) fn room(&self) -> RoomId {
        self.room
    }

    /// Whether the asker has the right now.
    pub(super) fn check(&self, right: Right) -> Result<Arc<RoomAccess>, RpcErrorCode> {
        match right {
            Right::Read => self.access.may_read_history(&self.user, &self.room),
            Right::Work => self.access.may_take_work(&self.user, &self.room),
        }
        .map_err(|refusal| match refusal {
            HistoryRefusal::NotAMember => RpcErrorCode::NotAMember,
            HistoryRefusal::NoHistory => RpcErrorCode::NoHistory,
            HistoryRefusal::NotAWriter => RpcErrorCode::NotAWriter,
            HistoryRefusal::NoTraffic => RpcErrorCode::NoTraffic,
        })
    }

    /// Sends messages, if the asker still has the right; then all of them, or none.
    pub(super) async fn deliver(
        &self,
        right: Right,
        messages: impl IntoIterator<Item = Outgoing> + Send,
    ) -> Result<(), RpcErrorCode> {
        let _delivery = self.gate.deliver().await;
        self.check(right)?;
        let messages: Vec<Outgoing> = messages.into_iter().collect();
        for Outgoing { headers, body } in messages {
            self.send(headers, body).await?;
        }
        Ok(())
    }

    /// Publishes in the room for the asker, if it may write there now.
    pub(super) async fn publish(
        &self,
        subject: &Subject,
        reply: Option<String>,
        message: Outgoing,
    ) -> Result<(), RpcErrorCode> {
        let Outgoing { headers, body } = message;
        let (client, subject) = (self.gate.client(), subject.to_string());
        let _delivery = self.gate.deliver().await;
        // The same as for taking work: may write, in a room that keeps messages and has traffic.
        let room = self.check(Right::Work)?;
        if !room.subject.covers(&subject) {
            return Err(RpcErrorCode::NotAMember);
        }
        let sent = match reply {
            Some(reply) => client.publish_with_reply_and_headers(subject, reply, headers, body).await,
            None => client.publish_with_headers(subject, headers, body).await,
        };
        sent.map_err(|_| RpcErrorCode::Unavailable)
    }

    /// Says why there is no answer. Nothing about the room is in it.
    pub(super) async fn refuse(&self, code: RpcErrorCode) {
        tracing::debug!(user = %self.user, room = %self.room, code = code.as_str(), "request refused");
        let mut headers = HeaderMap::new();
        headers.insert(header::ERROR, code.as_str());
        let sent = self.send(headers, Bytes::from_static(sentence(code).as_bytes())).await;
        if sent.is_err() {
            tracing::debug!(user = %self.user, "a refusal was not sent");
        }
    }

    async fn send(&self, headers: HeaderMap, body: Bytes) -> Result<(), RpcErrorCode> {
        let sent = self.gate.client().publish_with_headers(self.reply.to_string(), headers, body).await;
        sent.map_err(|_| RpcErrorCode::Unavailable)
    }
}

impl Outgoing {
    /// A stored message as it was published, with where and when it was stored.
    pub(super) fn stored(original: Option<&HeaderMap>, body: Bytes, stored: &[(&'static str, &str)]) -> Self {
        let mut headers = HeaderMap::new();
        for (name, values) in original.into_iter().flat_map(HeaderMap::iter) {
            // What the publisher says about storing is not what the bus says.
            let text: &str = name.as_ref();
            let prefix = text.get(..header::PREFIX.len());
            if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(header::PREFIX)) {
                continue;
            }
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
        for (name, value) in stored {
            headers.insert(*name, *value);
        }
        Self { headers, body }
    }

    /// The last message of an answer.
    pub(super) fn last(headers: &[(&'static str, &str)]) -> Self {
        Self::stored(None, Bytes::new(), headers)
    }
}

fn sentence(code: RpcErrorCode) -> &'static str {
    match code {
        RpcErrorCode::NotAMember => "you are not a member of such a room",
        RpcErrorCode::NoHistory => "the room was made without history: nothing is kept",
        RpcErrorCode::NotAWriter => "readers of a room read its history; the rest is for those who may write",
        RpcErrorCode::NoTraffic => {
            "the room is frozen or closed: nothing is stored, and no work is given out"
        }
        RpcErrorCode::NoSuchConsumer => "the room has no such work queue, or it is somebody else's",
        RpcErrorCode::NotDelivered => "this work queue did not give out that message",
        RpcErrorCode::TooLarge => "the message is larger than what is stored",
        RpcErrorCode::StorageFull => "the bus has no room for the message",
        RpcErrorCode::NotKept => "the bus keeps nothing of this room now: its operator has to look why",
        RpcErrorCode::Busy => "too many requests of yours are waiting: let some end",
        _ => "the bus cannot read its streams now: try again",
    }
}
