//! Mallory, who is on the bus but not in the room, and the server itself.

use crate::cast::{Cast, Person, SUBJECT};
use crate::stage::Stage;
use crate::talk::{ANSWER, HELLO};
use crate::tap::holds;
use anyhow::{Context as _, Result, ensure};
use async_nats::Message;
use bus_client::ErrorKind;
use bus_testkit::TestBus;
use control_api::Keys;
use room_protocol::{KeyContext, RoomId, SealedKey};

/// What outsiders can see.
pub(crate) async fn play(stage: &mut Stage, cast: &mut Cast) -> Result<()> {
    stage.act("Nobody else can read along")?;
    let room = cast.room.id();
    let (server, mallory) = (&cast.server, &cast.mallory);
    stage
        .step("Mallory's NATS client may not subscribe to the room", may_not_listen(server, mallory))
        .await?;
    stage.step("Mallory's NATS client may not publish in it", may_not_publish(server, mallory)).await?;
    stage
        .step("Mallory is told neither the room's members nor its keys", told_nothing(server, mallory, room))
        .await?;
    stage
        .step("The server's data plane saw two messages, both of them ciphertext", async {
            ciphertext(cast.tap.seen())
        })
        .await?;
    let stolen = stolen_keys(cast);
    stage
        .step("The sealed keys, stolen from the server, open for their owner and not for Mallory", stolen)
        .await
}

/// A stock NATS client, logged in as Mallory, is refused the subject.
async fn may_not_listen(server: &TestBus, mallory: &Person) -> Result<()> {
    let (client, mut refusals) = listening_client(server, mallory).await?;
    let _messages = client.subscribe(SUBJECT).await?;
    refused(&mut refusals).await
}

async fn may_not_publish(server: &TestBus, mallory: &Person) -> Result<()> {
    let (client, mut refusals) = listening_client(server, mallory).await?;
    client.publish(SUBJECT, "let me in".into()).await?;
    refused(&mut refusals).await
}

type Refusals = tokio::sync::mpsc::Receiver<String>;

/// A NATS client that tells what the server refuses.
async fn listening_client(server: &TestBus, person: &Person) -> Result<(async_nats::Client, Refusals)> {
    let (tell, told) = tokio::sync::mpsc::channel(8);
    let options = async_nats::ConnectOptions::with_nkey(person.identity.login_seed().as_str().to_owned())
        .event_callback(move |event| {
            let tell = tell.clone();
            async move {
                if let async_nats::Event::ServerError(error) = event {
                    // A full queue has a refusal in it already.
                    drop(tell.try_send(error.to_string()));
                }
            }
        });
    Ok((options.connect(server.nats_url()).await?, told))
}

async fn refused(refusals: &mut Refusals) -> Result<()> {
    let refusal = refusals.recv().await.context("the connection ended")?;
    ensure!(refusal.to_lowercase().contains("permissions violation"), "another error: {refusal}");
    Ok(())
}

async fn told_nothing(server: &TestBus, mallory: &Person, room: RoomId) -> Result<()> {
    let error = mallory.bus.room(&room.to_string()).await.err().context("Mallory could open the room")?;
    let refused = [ErrorKind::NotFound, ErrorKind::NotAMember, ErrorKind::Forbidden];
    ensure!(refused.contains(&error.kind()), "another error: {error}");
    let asking = server.control(&mallory.identity);
    for what in ["", "/log?from=1", "/keys"] {
        let answer = asking.get::<serde_json::Value>(&format!("/v1/rooms/{room}{what}")).await;
        let error = answer.err().with_context(|| format!("the server told Mallory {what}"))?;
        ensure!(error.problem().is_some(), "the server did not refuse, it failed: {error}");
    }
    Ok(())
}

fn ciphertext(seen: &[Message]) -> Result<()> {
    ensure!(seen.len() == 2, "{} messages passed", seen.len());
    for words in [HELLO, ANSWER] {
        for message in seen {
            ensure!(!holds(&message.payload, words), "the payload holds the words {words:?}");
            let headers = format!("{:?}", message.headers);
            ensure!(!headers.contains(words), "the headers hold the words {words:?}");
        }
    }
    Ok(())
}

/// Whoever steals the server's disk has Alice's sealed keys, which only Alice's exchange key opens.
async fn stolen_keys(cast: &Cast) -> Result<()> {
    let path = format!("/v1/rooms/{}/keys", cast.room.id());
    let stolen: Keys = cast.server.control(&cast.alice.identity).get(&path).await?;
    let epoch = cast.room.state().epoch().context("the room has no key")?;
    let newest: &SealedKey =
        &stolen.keys.iter().find(|copy| copy.epoch == epoch.n).context("no newest key")?.sealed;
    let context = KeyContext::Room(cast.room.id());
    ensure!(newest.open(&cast.alice.identity, &context, &epoch).is_ok(), "Alice cannot open her own key");
    ensure!(newest.open(&cast.mallory.identity, &context, &epoch).is_err(), "Mallory can open Alice's key");
    Ok(())
}
