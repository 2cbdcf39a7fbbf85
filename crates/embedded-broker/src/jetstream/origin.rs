//! Who asked for something that goes on after the request: so that it ends with the right to ask.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::consumer::Creator;
use crate::{ReplyPolicy, routing::Inbound, session::Connection};

/// The connection that asked, and the subject it asked through.
#[derive(Clone)]
pub(crate) struct Origin {
    connection: Arc<Connection>,
    subject: Box<str>,
}

impl Origin {
    /// Of a message; `None` when the broker itself sent it.
    pub(crate) fn of(message: &Inbound<'_>) -> Option<Self> {
        let connection = Arc::clone(message.from?);
        Some(Self { connection, subject: message.subject.into() })
    }

    /// Who asked, for what outlives the connection.
    pub(crate) fn creator(&self) -> Creator {
        let door = &self.connection.door;
        Creator::new(&door.authentication, self.connection.principal(), door.internal, &self.subject)
    }

    /// Whether the client may have something sent to a subject: it may receive it, or publish there itself. Whoever
    /// sends it has more rights, and must not lend them.
    pub(crate) fn may_have_sent_to(&self, subject: &str, group: Option<&str>, policy: ReplyPolicy) -> bool {
        let rights = self.connection.rights.load();
        match policy {
            ReplyPolicy::AsNatsServer => true,
            ReplyPolicy::Checked => rights.may_receive(subject, group) || rights.may_publish(subject),
        }
    }

    /// Whether the connection is open and may still ask. To be called while `Engine::deliveries` is held for reading,
    /// until what depends on it is appended.
    pub(crate) fn may_go_on(&self) -> bool {
        self.connection.outbound.closing().is_none()
            && self.connection.rights.load().may_publish(&self.subject)
    }
}

impl Origin {
    /// The client, as advisories show it.
    pub(crate) fn describe(&self) -> Value {
        let connection = &self.connection;
        let client = connection.client.load();
        let mut members = json!({
            "start": Timestamp::try_from(connection.since).unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
            "host": connection.remote.ip().to_string(),
            "id": connection.id,
            "acc": "$G",
            "kind": "Client",
            "client_type": if connection.door.is_websocket() { "websocket" } else { "nats" },
        });
        let principal = connection.principal().map(|principal| principal.as_str().to_owned());
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let optional = [
            ("user", principal),
            ("name", text(&client.name)),
            ("lang", text(&client.lang)),
            ("ver", text(&client.version)),
        ];
        for (name, value) in optional {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                members[name] = value.into();
            }
        }
        if let Some(rtt) = connection.rtt() {
            members["rtt"] = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX).into();
        }
        members
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin")
            .field("connection", &self.connection.id)
            .field("subject", &self.subject)
            .finish()
    }
}
