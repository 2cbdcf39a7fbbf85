//! Who asked for something that goes on after the request: so that it ends with the right to ask.

use std::sync::Arc;

use crate::{routing::Inbound, session::Connection};

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

    /// Whether the connection is open and may still ask. To be called while `Engine::deliveries` is held for reading,
    /// until what depends on it is appended.
    pub(crate) fn may_go_on(&self) -> bool {
        self.connection.outbound.closing().is_none()
            && self.connection.rights.load().may_publish(&self.subject)
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
