//! Users, rooms and memberships in the memory of a node, and what a node receives when they change.
//!
//! A store in a nats-server is filled through its interface. After each kind another process opens it, as a node does when
//! it starts: what it has grown by is what that many of them take.

use std::{
    ffi::OsString,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use anyhow::{Context as _, Result};
use async_nats::{Client, jetstream};
use membership_store::{KvOptions, KvStore, MembershipStore as _, ViewLimits};
use room_protocol::{Encryption, RoomState};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::{people::Person, resident, seconds, trio::Trio};
use crate::{Bench, child::Owned, programs};

/// Members of a room, its owner among them.
const MEMBERS: usize = 10;
/// Changes of each kind whose bytes are counted.
const CHANGES: usize = 200;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(super) stages: Vec<Stage>,
    pub(super) changes: Vec<Change>,
}

/// What there is now, and what the process that has it in memory takes.
#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    pub(super) what: &'static str,
    /// How many came since the stage before.
    pub(super) added: usize,
    /// What each of those takes, in bytes.
    pub(super) bytes_each: f64,
    pub(super) opened: Opened,
}

/// A process that has opened the store.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(super) resident_mib: f64,
    pub(super) seconds: f64,
}

/// What a node received for each change.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    pub(super) what: &'static str,
    pub(super) bytes: f64,
}

/// Measures with so many users, and as many rooms.
pub(super) fn run(bench: &Bench, count: usize) -> Result<Measured> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let server = Trio::start(&bench.nats_server, &bench.directory.path().join("view"), 1).await?;
        let mut filling = Filling::begin(&server).await?;
        filling.measure("nothing", 0)?;
        filling.users(count).await?;
        filling.measure("users", count)?;
        filling.rooms(count).await?;
        filling.measure("rooms with their owner", count)?;
        let added = filling.members().await?;
        filling.measure("further members of a room", added)?;
        let changes = changes(&server, &filling).await?;
        Ok(Measured { stages: filling.stages, changes })
    })
}

/// A store that is being filled.
struct Filling {
    address: String,
    store: KvStore,
    people: Vec<Person>,
    rooms: Vec<Arc<RoomState>>,
    stages: Vec<Stage>,
}

impl Filling {
    async fn begin(server: &Trio) -> Result<Self> {
        let store = open(server.connect(0).await?).await?;
        let address = server.servers[0].client.to_string();
        Ok(Self { address, store, people: Vec::new(), rooms: Vec::new(), stages: Vec::new() })
    }

    /// Has a process of its own open what there is now.
    fn measure(&mut self, what: &'static str, added: usize) -> Result<()> {
        let mut command = programs::start(programs::Part::View, false)?;
        let (_child, said) = Owned::spawn_and_hear(command.arg(&self.address))?;
        let opened: Opened = serde_json::from_str(&said)?;
        let before = self.stages.last().map_or(opened.resident_mib, |stage| stage.opened.resident_mib);
        let bytes_each = (opened.resident_mib - before) * f64::from(1 << 20) / added.max(1) as f64;
        self.stages.push(Stage { what, added, bytes_each, opened });
        Ok(())
    }

    async fn users(&mut self, count: usize) -> Result<()> {
        for number in 0..count {
            let person = Person::new(number)?;
            self.store.add_user(person.new_user()).await?;
            self.people.push(person);
        }
        Ok(())
    }

    async fn rooms(&mut self, count: usize) -> Result<()> {
        for number in 0..count {
            let new =
                self.people[number].new_room(&format!("department.room-{number:06}"), Encryption::None)?;
            self.rooms.push(new.state().clone());
            self.store.create_room(new).await?;
        }
        Ok(())
    }

    /// Fills the rooms up; answers how many memberships that made.
    async fn members(&mut self) -> Result<usize> {
        for number in 0..self.rooms.len() {
            for other in 1..MEMBERS {
                let new = &self.people[(number + other * 7) % self.people.len()];
                let append = self.people[number].add(&self.rooms[number], new)?;
                self.rooms[number] = append.next().clone();
                self.store.append(append).await?;
            }
        }
        Ok(self.rooms.len() * (MEMBERS - 1))
    }
}

async fn open(client: Client) -> Result<KvStore> {
    let limits = ViewLimits { rooms: 20_000, ..ViewLimits::default() };
    let options = KvOptions { limits, ..KvOptions::default() };
    Ok(KvStore::open(jetstream::new(client), options).await?)
}

/// Counts what the connection of another node receives.
async fn changes(server: &Trio, filling: &Filling) -> Result<Vec<Change>> {
    let client = server.connect(0).await?;
    let received = client.statistics();
    let node = open(client).await?;
    let (store, people) = (&filling.store, &filling.people);
    let mut changes = Vec::new();
    let mut count = async |what, before: u64| -> Result<()> {
        node.confirm().await?;
        let bytes = received.in_bytes.load(Ordering::Relaxed) - before;
        changes.push(Change { what, bytes: bytes as f64 / CHANGES as f64 });
        Ok(())
    };
    let now = || received.in_bytes.load(Ordering::Relaxed);

    let before = now();
    let mut newcomers = Vec::new();
    for number in 0..CHANGES {
        let person = Person::new(people.len() + number)?;
        store.add_user(person.new_user()).await?;
        newcomers.push(person);
    }
    count("a user is added", before).await?;

    for (encryption, made, added, removed) in [
        (
            Encryption::None,
            "a room without encryption is made",
            "a tenth member is added to it",
            "a member of ten is removed from it",
        ),
        (
            Encryption::E2e,
            "an encrypted room is made",
            "a tenth member is added to it, with a new key",
            "a member of ten is removed from it, with a new key",
        ),
    ] {
        let mut rooms = Vec::new();
        let before = now();
        for (number, owner) in newcomers.iter().enumerate() {
            let new = owner.new_room(&format!("counted.{encryption:?}.room-{number:06}"), encryption)?;
            rooms.push(new.state().clone());
            store.create_room(new).await?;
        }
        count(made, before).await?;
        let mut before = now();
        for new in &people[1..MEMBERS] {
            // The last round is the one that is counted.
            before = now();
            for (owner, room) in newcomers.iter().zip(&mut rooms) {
                let append = owner.add(room, new)?;
                *room = append.next().clone();
                store.append(append).await?;
            }
            node.confirm().await?;
        }
        count(added, before).await?;
        let before = now();
        for (owner, room) in newcomers.iter().zip(&mut rooms) {
            store.append(owner.remove(room, &people[MEMBERS - 1])?).await?;
        }
        count(removed, before).await?;
    }
    node.close().await;
    Ok(changes)
}

/// Is the process that opens the store: says what it takes, and ends when nobody listens any more.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let address = arguments.next().and_then(|text| text.into_string().ok()).context("no address")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let client = async_nats::connect(address).await?;
        let began = Instant::now();
        let store = open(client).await?;
        let seconds = seconds(began);
        let opened = Opened { resident_mib: resident(std::process::id())?, seconds };
        println!("{}", serde_json::to_string(&opened)?);
        store.close().await;
        Ok(())
    })
}
