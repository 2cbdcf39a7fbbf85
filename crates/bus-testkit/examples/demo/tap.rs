//! The server's own view of the data plane: a client that may do everything sees every message pass.

use crate::cast::SUBJECT;
use anyhow::{Context as _, Result};
use async_nats::Message;
use bus_testkit::TestBus;
use futures_util::StreamExt as _;

/// Records what passes through the room's subjects.
pub(crate) struct Tap {
    client: async_nats::Client,
    room: async_nats::Subscriber,
    seen: Vec<Message>,
}

impl Tap {
    /// Listens as whoever runs the server can.
    pub(crate) async fn new(server: &TestBus) -> Result<Self> {
        let client = server.service().await?;
        let room = client.subscribe(SUBJECT).await?;
        client.flush().await?;
        Ok(Self { client, room, seen: Vec::new() })
    }

    /// The next message that passes.
    pub(crate) async fn next(&mut self) -> Result<Message> {
        let message = self.room.next().await.context("the server's own connection ended")?;
        self.seen.push(message.clone());
        Ok(message)
    }

    /// Everything that passed.
    pub(crate) fn seen(&self) -> &[Message] {
        &self.seen
    }

    /// Puts a message on the wire as the server can: with any headers, to anybody.
    pub(crate) async fn put(&self, message: &Message) -> Result<()> {
        let headers = message.headers.clone().unwrap_or_default();
        self.client.publish_with_headers(message.subject.clone(), headers, message.payload.clone()).await?;
        Ok(self.client.flush().await?)
    }
}

/// Whether these bytes hold those words.
pub(crate) fn holds(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}
