//! Stock NATS clients in a run: what they hear, what they say, and what they read of what is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use bus_testkit::faults::{Message, Node, User, Write};
use busauth::Identity;
use control_api::history::header;
use futures_util::StreamExt as _;
use room_protocol::Encryption;
use room_protocol::message::header as message_header;
use serde_json::json;

use super::cluster::{AGAIN, Cluster, node_named};
use super::sdk::Opened;
use super::world::{MadeRoom, World};

/// How long a page of history may take to come.
const PAGE: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(2);
/// How often a client tries in a row. Who is shut out would go on for ever, since it does not notice that nobody holds it any
/// more, and after some minutes a cluster would do nothing but refuse.
const RECONNECTS: usize = 300;

/// Connects to one of these nodes. `None` when none of them lets it in.
pub(crate) async fn connect(
    cluster: &Cluster,
    nodes: &[usize],
    identity: &Identity,
) -> Option<async_nats::Client> {
    let servers = nodes.iter().map(|node| cluster.data_url(*node));
    let servers: Vec<async_nats::ServerAddr> = servers.map(|url| url.parse().unwrap()).collect();
    let options = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
        .custom_inbox_prefix(format!("_INBOX_{}", identity.id()))
        // A server that stands still is left soon.
        .ping_interval(Duration::from_secs(1))
        .connection_timeout(CONNECT)
        .reconnect_delay_callback(|_| AGAIN)
        .max_reconnects(RECONNECTS)
        .event_callback(|_| async {});
    cluster.nats_options(options).connect(servers).await.ok()
}

/// The same at any node, until it works or the run is over.
pub(crate) async fn connect_anywhere(world: &World, user: User) -> Option<async_nats::Client> {
    while !world.is_over() {
        let node = world.next_node().0;
        let nodes = [node, (node + 1) % 3, (node + 2) % 3];
        let connecting = Box::pin(connect(&world.cluster, &nodes, world.identity(user)));
        if let Some(Some(client)) = world.over.run_until_cancelled(connecting).await {
            return Some(client);
        }
        world.pause(AGAIN).await;
    }
    None
}

/// Notes everything that reaches a user in a room.
pub(crate) async fn hear(world: &World, user: User, room: &MadeRoom, mut heard: async_nats::Subscriber) {
    while let Some(message) = heard.next().await {
        if let Some(message) = number_of(&message) {
            world.recorder.received(user, room.number, message);
        }
    }
}

/// Says something until it is kept, as the reader sees it; for so long at most.
pub(crate) async fn say(
    world: &World,
    (user, client): (User, &async_nats::Client),
    reader: &mut Reader<'_>,
    patience: Duration,
) {
    let message = world.next_message();
    let room = reader.room;
    let attempt =
        world.recorder.attempt(user, node_of(client), Write::Publish { room: room.number, message });
    let until_kept = async {
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", format!("{}", message.0));
            let body = message.0.to_string();
            let sent = client.publish_with_headers(room.subject.to_string(), headers, body.into()).await;
            if sent.is_ok() && reader.finds(message).await {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let until_kept = tokio::time::timeout(patience, until_kept);
    if let Some(Ok(())) = world.over.run_until_cancelled(until_kept).await {
        attempt.ended(bus_testkit::faults::Outcome::Acknowledged);
    }
}

fn node_of(client: &async_nats::Client) -> Node {
    Node(node_named(&client.server_info().server_name).unwrap_or_default())
}

fn number_of(message: &async_nats::Message) -> Option<Message> {
    std::str::from_utf8(&message.payload).ok()?.parse().ok().map(Message)
}

/// Who reads what a room keeps.
pub(crate) struct Reader<'a> {
    pub(crate) client: async_nats::Client,
    pub(crate) identity: &'a Identity,
    pub(crate) room: &'a MadeRoom,
    /// Where an encrypted room's messages are found.
    opened: Option<&'a Opened>,
    /// Where the next page begins.
    next: u64,
    /// What was said instead of the last page.
    refused: Option<String>,
    found: BTreeSet<Message>,
    in_order: Vec<Message>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(client: async_nats::Client, identity: &'a Identity, room: &'a MadeRoom) -> Self {
        let (found, in_order) = (BTreeSet::new(), Vec::new());
        Self { client, identity, room, opened: None, next: 1, refused: None, found, in_order }
    }

    /// The same for a room that may be encrypted.
    pub(crate) fn of_any(
        client: async_nats::Client,
        identity: &'a Identity,
        room: &'a MadeRoom,
        opened: &'a Opened,
    ) -> Self {
        let opened = (room.encryption == Encryption::E2e).then_some(opened);
        Self { opened, ..Self::new(client, identity, room) }
    }

    /// Which message this is. `None` for what nobody can read, too: it is missing if anybody was told that it is kept.
    fn number_of(&self, message: &async_nats::Message) -> Option<Message> {
        let Some(opened) = self.opened else { return number_of(message) };
        let id = message.headers.as_ref()?.get(message_header::NATS_MESSAGE_ID)?;
        opened.get(id.as_str()).copied()
    }

    /// Whether a message is kept by now, or soon.
    async fn finds(&mut self, message: Message) -> bool {
        while !self.found.contains(&message) {
            if self.page(1).await != Some(true) {
                return false;
            }
        }
        true
    }

    /// Everything that is kept, or what was said instead.
    pub(crate) async fn all(mut self) -> Result<Vec<Message>, String> {
        loop {
            match self.page(0).await {
                Some(true) => {}
                Some(false) => return Ok(self.in_order),
                None => return Err(self.refused.unwrap_or_else(|| "no answer".to_owned())),
            }
        }
    }

    /// Reads a page; whether there was something in it. `None` when there is no answer.
    async fn page(&mut self, wait: u64) -> Option<bool> {
        let read = tokio::time::timeout(PAGE, self.read_page(wait)).await;
        read.ok().flatten()
    }

    async fn read_page(&mut self, wait: u64) -> Option<bool> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.ok()?;
        let subject = format!("unibus.rpc.{}.history.{}", self.identity.id(), self.room.id);
        let body = json!({ "from": { "seq": self.next }, "max": 200, "wait": wait }).to_string();
        self.client.publish_with_reply(subject, inbox, body.into()).await.ok()?;
        let mut page = Vec::new();
        let mut is_empty = true;
        loop {
            let answer = answers.next().await?;
            let headers = answer.headers.clone().unwrap_or_default();
            if let Some(error) = headers.get(header::ERROR) {
                self.refused = Some(format!("{error}: {}", String::from_utf8_lossy(&answer.payload)));
                return None;
            }
            if let Some(end) = headers.get(header::END) {
                self.next = end.as_str().parse().ok()?;
                self.found.extend(&page);
                self.in_order.extend(&page);
                return Some(!is_empty);
            }
            is_empty = false;
            page.extend(self.number_of(&answer));
        }
    }
}
