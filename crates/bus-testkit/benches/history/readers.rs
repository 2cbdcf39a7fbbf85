//! The ways of reading a room's history that are compared. Each reads all of it, in order, and checks that.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, consumer::pull::OrderedConfig};
use async_nats::{Client, ConnectOptions};
use bus_client::{HistoryFrom, Room};
use control_api::history::{HistoryRequest, HistoryStart, Operation, RpcSubject, header};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout};

use crate::cpu;
use crate::rooms::Rooms;
use crate::server::{Place, Server};

/// Messages of a page, and of an answer to the consumer.
const PAGE: u64 = HistoryRequest::MAX;
/// What takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who reads, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// The owner of the server, with an ordered consumer: what the others are compared with.
    Direct,
    /// A member with a plain NATS client, page by page.
    Pages,
    /// The SDK in a room without encryption: pages, and each signature verified.
    Sdk,
    /// The SDK in an encrypted room: decrypted, too.
    SdkEncrypted,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Direct, Self::Pages, Self::Sdk, Self::SdkEncrypted];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Direct => "JetStream, ordered consumer, by the owner",
            Self::Pages => "`unibus.rpc` pages, plain client",
            Self::Sdk => "SDK, signatures verified",
            Self::SdkEncrypted => "SDK, verified and decrypted",
        }
    }
}

/// One time through the history.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Sample {
    pub(crate) messages_per_second: f64,
    /// Microseconds of the server's processor per message.
    pub(crate) server_cpu_per_message: f64,
}

/// Everybody's connections.
pub(crate) struct Readers {
    owner: Client,
    member: Client,
    rooms: Rooms,
    messages: u64,
}

impl Readers {
    pub(crate) async fn connect(place: &Place, rooms: Rooms, seed: String, messages: u64) -> Result<Self> {
        let user = rooms.bus.me().await?.user.id;
        let owner = ConnectOptions::with_nkey(place.owner_seed.clone()).connect(&place.owner_url).await?;
        let member = ConnectOptions::with_nkey(seed).custom_inbox_prefix(format!("_INBOX_{user}"));
        let member = member.connect(&place.data).await?;
        Ok(Self { owner, member, rooms, messages })
    }

    /// Reads everything once.
    pub(crate) async fn run(&self, way: Way, server: &Server) -> Result<Sample> {
        let (before, began) = (cpu::of(server.child.id())?, Instant::now());
        let read = match way {
            Way::Direct => self.direct().await?,
            Way::Pages => self.pages().await?,
            Way::Sdk => sdk(&self.rooms.plain).await?,
            Way::SdkEncrypted => sdk(&self.rooms.encrypted).await?,
        };
        let took = began.elapsed();
        ensure!(read == self.messages, "{way:?} read {read} messages of {}", self.messages);
        let cpu = cpu::of(server.child.id())?.saturating_sub(before);
        Ok(Sample {
            messages_per_second: read as f64 / took.as_secs_f64(),
            server_cpu_per_message: cpu.as_secs_f64() * 1e6 / read as f64,
        })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        let Rooms { bus, plain, encrypted } = self.rooms;
        drop((plain, encrypted));
        Ok(bus.shutdown().await?)
    }

    async fn direct(&self) -> Result<u64> {
        let context = jetstream::new(self.owner.clone());
        let stream = context.get_stream(format!("ROOM_{}", self.rooms.plain.id())).await?;
        let consumer = stream.create_consumer(OrderedConfig::default()).await?;
        let mut messages = consumer.messages().await?;
        for expected in 1..=self.messages {
            let next = timeout(PATIENCE, messages.next()).await?;
            let message = next.context("the consumer ended")??;
            let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
            ensure!(info.stream_sequence == expected, "{} came in place of {expected}", info.stream_sequence);
        }
        Ok(self.messages)
    }

    async fn pages(&self) -> Result<u64> {
        let (user, room) = (self.rooms.bus.me().await?.user.id, self.rooms.plain.id());
        let subject = RpcSubject { user, room, operation: Operation::History }.to_string();
        let (mut next, mut read) = (1, 0);
        loop {
            let request = HistoryRequest { from: HistoryStart::Seq(next), max: PAGE, wait: 0 };
            let inbox = self.member.new_inbox();
            let mut answers = self.member.subscribe(inbox.clone()).await?;
            let body = serde_json::to_vec(&request)?;
            self.member.publish_with_reply(subject.clone(), inbox, body.into()).await?;
            let more = loop {
                let message = timeout(PATIENCE, answers.next()).await?.context("the answer broke off")?;
                let headers = message.headers.context("the answer is none")?;
                let number =
                    |name: &str| headers.get(name).and_then(|value| value.as_str().parse::<u64>().ok());
                if let Some(end) = number(header::END) {
                    next = end;
                    break number(header::MORE).unwrap_or(0);
                }
                let seq = number(header::SEQ).context("the bus refuses")?;
                read += 1;
                ensure!(seq == read, "{seq} came in place of {read}");
            };
            if more == 0 {
                return Ok(read);
            }
        }
    }
}

async fn sdk(room: &Room) -> Result<u64> {
    let mut reader = room.history(HistoryFrom::First)?;
    let mut read = 0;
    while !reader.is_at_end() {
        for stored in reader.page(PAGE).await?.messages {
            read += 1;
            ensure!(stored.seq == read, "{} came in place of {read}", stored.seq);
            stored.message?;
        }
    }
    Ok(read)
}
