//! The people and the bus they are on.

use crate::stage::Stage;
use crate::tap::Tap;
use anyhow::{Context as _, Result, ensure};
use bus_client::{
    Bus, Confirm, ErrorKind, OwnMessages, Room, RoomDraft, SubscribeOptions, Subscription, UserRef,
};
use bus_testkit::TestBus;
use busauth::Identity;
use control_api::BusRole;
use room_protocol::RoomRole;
use std::sync::Arc;

/// Where the room is.
pub(crate) const SUBJECT: &str = "demo.lab";

/// Somebody with an identity and an SDK that is connected.
pub(crate) struct Person {
    pub(crate) identity: Arc<Identity>,
    pub(crate) bus: Bus,
}

/// Everybody, and what they have open.
pub(crate) struct Cast {
    pub(crate) server: TestBus,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) mallory: Person,
    /// The room as Alice and Bob each have verified it.
    pub(crate) room: Room,
    pub(crate) bobs_room: Room,
    pub(crate) alices_messages: Subscription,
    pub(crate) bobs_messages: Subscription,
    /// What passes through the server.
    pub(crate) tap: Tap,
}

/// Starts a bus and brings everybody together.
pub(crate) async fn assemble(stage: &mut Stage) -> Result<Cast> {
    stage.act("A bus, three people, a room")?;
    let server =
        stage.step("A bus starts in a temporary directory", TestBus::builder().lying_proxy().start()).await?;
    let [alice, bob, mallory] =
        stage.step("The admin admits Alice, Bob and Mallory; each connects", admit(&server)).await?;
    let room = stage.step("Alice makes an encrypted room", make_room(&alice)).await?;
    stage
        .step("Adding Bob unseen is refused: Alice is shown his fingerprint", refused_unseen(&room, &bob))
        .await?;
    stage.step("Alice has compared the fingerprint and adds Bob", add(&room, &bob)).await?;
    let bobs_room = stage.step("Bob verifies the room's log from its first entry", bob.open()).await?;
    ensure!(bobs_room.head() == room.head(), "Bob and Alice have different rooms");
    let tap = Tap::new(&server).await?;
    let alices_messages = listen(&room).await?;
    let bobs_messages = listen(&bobs_room).await?;
    Ok(Cast { server, alice, bob, mallory, room, bobs_room, alices_messages, bobs_messages, tap })
}

impl Person {
    /// The room as this person's SDK verifies it.
    pub(crate) async fn open(&self) -> Result<Room> {
        Ok(self.bus.room(SUBJECT).await?)
    }
}

impl Cast {
    /// Everybody goes home, and the bus stops with nothing cut off.
    pub(crate) async fn leave(self, stage: &mut Stage) -> Result<()> {
        stage.act("The end")?;
        let Self { server, alice, bob, mallory, tap, room, bobs_room, alices_messages, bobs_messages } = self;
        drop((tap, room, bobs_room, alices_messages, bobs_messages));
        stage
            .step("Everybody disconnects and the bus stops cleanly", async {
                for person in [alice, bob, mallory] {
                    person.bus.shutdown().await?;
                }
                server.stop().await
            })
            .await
    }
}

async fn admit(server: &TestBus) -> Result<[Person; 3]> {
    let admit = async |handle| {
        let identity = server.admit(handle, BusRole::Member).await?;
        let bus = server.client(&identity).await?;
        anyhow::Ok(Person { identity, bus })
    };
    Ok([admit("alice").await?, admit("bob").await?, admit("mallory").await?])
}

async fn make_room(alice: &Person) -> Result<Room> {
    Ok(alice.bus.create_room(RoomDraft::new(SUBJECT.parse()?)).await?)
}

/// What others say in the room.
async fn listen(room: &Room) -> Result<Subscription> {
    let options = SubscribeOptions { own: OwnMessages::Skip, ..SubscribeOptions::default() };
    Ok(room.subscribe_with(options).await?)
}

async fn refused_unseen(room: &Room, bob: &Person) -> Result<()> {
    let error = room.add(&by_handle("bob")?, RoomRole::Writer, Confirm::Pinned).await.err();
    let error = error.context("Bob was added although nobody has looked at his keys")?;
    ensure!(error.kind() == ErrorKind::Unconfirmed, "another error: {error}");
    ensure!(error.fingerprint() == Some(bob.identity.id().fingerprint().as_str()), "another fingerprint");
    Ok(())
}

async fn add(room: &Room, bob: &Person) -> Result<()> {
    let compared = Confirm::Fingerprint(bob.identity.id().fingerprint());
    Ok(room.add(&by_handle("bob")?, RoomRole::Writer, compared).await?)
}

/// Somebody by the name the bus knows them by.
pub(crate) fn by_handle(handle: &str) -> Result<UserRef> {
    Ok(UserRef::Handle(handle.parse()?))
}
