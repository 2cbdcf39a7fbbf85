//! Bob is removed: from that moment he receives nothing, and what he kept does not read what follows.

use crate::cast::{Cast, by_handle};
use crate::stage::Stage;
use crate::tap::holds;
use anyhow::{Context as _, Result, ensure};
use async_nats::Message;
use bus_client::MessageErrorKind;
use busauth::Identity;
use control_api::Keys;
use room_protocol::message::{Arrival, MessageHeaders, PermittedMessage};
use room_protocol::{EpochKey, KeyContext, RoomLog, SignedStatement};

const SECRET: &str = "the new code is 4711";

/// The removal and what it means.
pub(crate) async fn play(stage: &mut Stage, cast: &mut Cast) -> Result<()> {
    stage.act("Bob is removed")?;
    let kept =
        stage.step("Bob keeps every key that he was ever given", keys(cast, &cast.bob.identity)).await?;
    let before = cast.room.state().epoch().context("the room has no key")?.n;
    stage.step("Alice removes Bob; the same entry opens a new key", remove(cast, before)).await?;
    stage.step("Bob's open subscription ends", ended(cast)).await?;
    let secret = stage.step("Alice says a secret; it passes through the server", say_secret(cast)).await?;
    stage.step("Bob receives nothing, and may not subscribe again", out(cast)).await?;
    stage
        .step("With Alice's key the bytes open", async {
            let own = keys(cast, &cast.alice.identity).await?;
            ensure!(opens(cast, &secret, &own)?, "not even Alice can read it");
            Ok(())
        })
        .await?;
    stage
        .step("Given the same bytes, none of Bob's keys opens them", async {
            ensure!(!opens(cast, &secret, &kept)?, "Bob can read what was written after he was removed");
            Ok(())
        })
        .await
}

async fn remove(cast: &Cast, before: u64) -> Result<()> {
    cast.room.remove(&by_handle("bob")?).await?;
    let state = cast.room.state();
    ensure!(state.member(&cast.bob.identity.id()).is_none(), "Bob is still a member");
    ensure!(state.epoch().is_some_and(|epoch| epoch.n == before + 1), "no new key");
    Ok(())
}

async fn ended(cast: &mut Cast) -> Result<()> {
    let last = cast.bobs_messages.next().await.context("the subscription ended without a word")?;
    let error = last.err().context("Bob still receives messages")?;
    ensure!(*error.kind() == MessageErrorKind::RoomLost, "another error: {error}");
    Ok(())
}

async fn say_secret(cast: &mut Cast) -> Result<Message> {
    cast.room.publish(SECRET).await?;
    let message = cast.tap.next().await?;
    ensure!(!holds(&message.payload, SECRET), "the server can read it");
    Ok(message)
}

async fn out(cast: &mut Cast) -> Result<()> {
    ensure!(cast.bobs_messages.next().await.is_none(), "Bob received something");
    ensure!(cast.bob.open().await.is_err(), "Bob could open the room again");
    Ok(())
}

/// All keys of the room that the server holds for this person, opened.
async fn keys(cast: &Cast, identity: &std::sync::Arc<Identity>) -> Result<Vec<EpochKey>> {
    let path = format!("/v1/rooms/{}/keys", cast.room.id());
    let sealed: Keys = cast.server.control(identity).get(&path).await?;
    let log = log(&cast.room.log())?;
    let mut keys = Vec::new();
    for copy in sealed.keys {
        let epoch = log.epoch(copy.epoch).context("a key of an epoch that the log does not have")?;
        let context = if copy.epoch == 1 { creation(cast) } else { KeyContext::Room(cast.room.id()) };
        keys.push(copy.sealed.open(identity, &context, &epoch)?);
    }
    ensure!(!keys.is_empty(), "no keys at all");
    Ok(keys)
}

fn creation(cast: &Cast) -> KeyContext {
    KeyContext::Create { subject: cast.room.subject(), author: cast.alice.identity.id() }
}

/// Whether any of the keys opens the message.
fn opens(cast: &Cast, message: &Message, keys: &[EpochKey]) -> Result<bool> {
    let permitted = permitted(cast, message)?;
    Ok(keys.iter().any(|key| permitted.open(Some(key)).is_ok_and(|text| text == SECRET.as_bytes())))
}

/// The message, with its signature and its sender's right to write checked.
fn permitted(cast: &Cast, message: &Message) -> Result<PermittedMessage<Vec<u8>>> {
    let headers = message.headers.as_ref().context("a message without headers")?;
    let pairs: Vec<(String, String)> = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string())))
        .collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let headers = MessageHeaders::parse(pairs)?.context("a message that nobody signed")?;
    let signed = headers.verify_signature(&cast.room.id(), &message.subject, message.payload.to_vec())?;
    Ok(signed.check(&log(&cast.room.log())?, Arrival::History)?)
}

fn log(entries: &[SignedStatement]) -> Result<RoomLog> {
    Ok(RoomLog::verify(entries.iter().cloned())?)
}
