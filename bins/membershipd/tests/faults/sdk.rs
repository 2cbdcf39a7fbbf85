//! Clients through the SDK in a run: they find nodes by themselves, try again by themselves, and believe what they can verify.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus_client::{
    Bus, BusConfig, Confirm, Encryption, History, HistoryFrom, OwnMessages, Room, RoomDraft, RoomRole,
    SubscribeOptions, Tuning, UserRef,
};
use bus_testkit::faults::{Entry, Message, Node, Outcome, User, Write};

use super::cluster::AGAIN;
use super::world::{MadeRoom, World, entry_of};

/// Messages of each speaker while both are members.
const MESSAGES: usize = 8;
/// How long somebody tries who has no right to.
const IN_VAIN: Duration = Duration::from_millis(700);
/// What a client is told before it tries again by itself.
const CALM: Duration = Duration::from_millis(200);
/// How long reading a room that is whole may take, and how much of it is read at once.
const READ: Duration = Duration::from_secs(20);
const PAGE: u64 = 200;
/// Which node it is that the SDK asks is its own business.
const SOME_NODE: Node = Node(usize::MAX);

/// What encrypted rooms keep, as their owners read it: by the id that each message has on the wire.
pub(crate) type Opened = BTreeMap<String, Message>;

/// Reads what these encrypted rooms keep, with nothing but their owners' identities. An error is what is missing.
pub(crate) async fn open_all(world: &World, sealed: &[&MadeRoom]) -> Result<Opened, String> {
    let mut opened = Opened::new();
    let owners: BTreeSet<User> = sealed.iter().map(|room| room.owner).collect();
    for owner in owners {
        let connecting = tokio::time::timeout(READ, Box::pin(Speaker::connect(world, owner))).await;
        let owner = connecting.map_err(|_| "a connection for an owner".to_owned())?;
        for room in sealed.iter().filter(|room| room.owner == owner.user) {
            let read = tokio::time::timeout(READ, Box::pin(owner.read(room, &mut opened))).await;
            read.map_err(|_| "no answer in time".to_owned())
                .and_then(|read| read.map_err(|error| error.to_string()))
                .map_err(|error| {
                    format!("the encrypted room {} ({}): {error}", room.number.0, room.subject)
                })?;
        }
    }
    Ok(opened)
}

fn number_in(message: &bus_client::Message) -> Option<Message> {
    std::str::from_utf8(&message.payload).ok()?.parse().ok().map(Message)
}

/// What an owner asks for.
#[derive(Clone, Copy)]
enum Change {
    Add(User),
    Remove(User),
}

/// Somebody with a connection.
struct Speaker<'a> {
    world: &'a World,
    user: User,
    bus: Bus,
}

/// An owner makes rooms, takes a guest in, talks, takes the guest out again, and goes on talking.
pub(crate) async fn talk(world: &World, owner: User, guest: User) {
    let talking = async {
        let owner = Speaker::connect(world, owner).await;
        let guest = Speaker::connect(world, guest).await;
        loop {
            if one_talk(&owner, &guest).await.is_none() {
                world.pause(AGAIN).await;
            }
        }
    };
    world.over.run_until_cancelled(Box::pin(talking)).await;
}

/// `None` when there was no room to talk in.
async fn one_talk(owner: &Speaker<'_>, guest: &Speaker<'_>) -> Option<()> {
    let (made, room) = owner.create().await?;
    owner.change(&made, &room, Change::Add(guest.user)).await;
    let guests = guest.open(&made).await;
    let talking = async {
        for _ in 0..MESSAGES {
            owner.say(&made, &room).await;
            guest.say(&made, &guests).await;
            tokio::time::sleep(CALM).await;
        }
        owner.change(&made, &room, Change::Remove(guest.user)).await;
        for _ in 0..3 {
            owner.say(&made, &room).await;
            tokio::time::timeout(IN_VAIN, guest.say(&made, &guests)).await.ok();
        }
    };
    tokio::select! {
        () = talking => {}
        () = async { guest.hear(&made, &guests).await; std::future::pending().await } => {}
    }
    Some(())
}

impl<'a> Speaker<'a> {
    /// Connects by way of one node after the other until one lets it in.
    async fn connect(world: &'a World, user: User) -> Self {
        loop {
            let url = world.cluster.control_url(world.next_node().0);
            // As patient as a removal may take, and soon at the next node when one cannot be reached.
            let tuning = Tuning { connect_timeout: Duration::from_secs(2), ..Tuning::default() };
            let config = BusConfig::new(url, world.identity(user).clone());
            let config = config.with_tls(world.cluster.client_tls()).with_tuning(tuning);
            match Bus::connect(config).await {
                Ok(bus) => return Self { world, user, bus },
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn create(&self) -> Option<(MadeRoom, Room)> {
        let number = self.world.next_room();
        let subject = format!("sdk-{}", number.0).parse().unwrap();
        // About half of them, where others are allowed.
        let is_encrypted = number.0.is_multiple_of(2) || self.world.cluster.network.is_public();
        let encryption = if is_encrypted { Encryption::E2e } else { Encryption::None };
        let draft = RoomDraft { encryption, history: History::Shared, ..RoomDraft::new(subject) };
        let write = |entry| Write::Create { room: number, entry };
        let attempt = self.world.recorder.attempt(self.user, SOME_NODE, write(Entry(0)));
        let room = self.bus.create_room(draft).await.ok()?;
        attempt.ended_as(write(entry_of(&room.log()[0])), Outcome::Acknowledged);
        let (id, subject) = (room.id(), room.subject());
        let made = MadeRoom { number, id, subject, owner: self.user, keeps: true, encryption };
        self.world.rooms.lock().push(made.clone());
        Some((made, room))
    }

    /// Adds what an encrypted room keeps to what is known.
    async fn read(&self, made: &MadeRoom, opened: &mut Opened) -> bus_client::Result<()> {
        let mut history = self.bus.room(&made.id.to_string()).await?.history(HistoryFrom::First)?;
        loop {
            let page = history.page(PAGE).await?;
            if page.messages.is_empty() {
                return Ok(());
            }
            // What cannot be read is found to be missing if anybody was told that it is kept.
            for message in page.messages.into_iter().filter_map(|stored| stored.message.ok()) {
                if let (Some(from), Some(id), Some(number)) = (message.from, message.id, number_in(&message))
                {
                    opened.insert(format!("{from}.{id}"), number);
                }
            }
        }
    }

    /// Asks until the room's log says so.
    async fn change(&self, made: &MadeRoom, room: &Room, change: Change) {
        let (Change::Add(user) | Change::Remove(user)) = change;
        let id = self.world.identity(user).id();
        let write = |entry| match change {
            Change::Add(user) => Write::Add { room: made.number, user, entry },
            Change::Remove(user) => Write::Remove { room: made.number, user, entry },
        };
        loop {
            self.bus.take_unconfirmed_nodes();
            let attempt = self.world.recorder.attempt(self.user, SOME_NODE, write(Entry(0)));
            let changed = match change {
                Change::Add(_) => room.add(&UserRef::Id(id), RoomRole::Writer, Confirm::FirstUse).await,
                Change::Remove(_) => room.remove(&UserRef::Id(id)).await,
            };
            if changed.is_ok() {
                let is_confirmed = self.bus.take_unconfirmed_nodes().is_empty();
                let outcome = if is_confirmed { Outcome::Acknowledged } else { Outcome::Pending };
                attempt.ended_as(write(entry_of(room.log().last().unwrap())), outcome);
                return;
            }
            drop(attempt);
            let is_member = room.refresh().await.ok().map(|state| state.member(&id).is_some());
            if is_member == Some(matches!(change, Change::Add(_))) {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Opens a room that somebody else has made.
    async fn open(&self, made: &MadeRoom) -> Room {
        loop {
            match self.bus.room(&made.id.to_string()).await {
                Ok(room) => return room,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Says something once; the SDK says it again if it has to, so that it is kept once.
    async fn say(&self, made: &MadeRoom, room: &Room) {
        let message = self.world.next_message();
        let write = Write::Publish { room: made.number, message };
        let attempt = self.world.recorder.attempt(self.user, SOME_NODE, write);
        if room.publish_stored(message.0.to_string()).await.is_ok() {
            attempt.ended(Outcome::Acknowledged);
        }
    }

    /// Notes what arrives until nothing follows.
    async fn hear(&self, made: &MadeRoom, room: &Room) {
        let options = SubscribeOptions { own: OwnMessages::Skip, ..SubscribeOptions::default() };
        let mut heard = loop {
            match room.subscribe_with(options.clone()).await {
                Ok(heard) => break heard,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        while let Some(heard) = heard.next().await {
            let Ok(heard) = heard else { continue };
            if let Some(number) = number_in(&heard) {
                self.world.recorder.received(self.user, made.number, number);
            }
        }
    }
}
