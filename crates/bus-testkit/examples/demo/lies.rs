//! The server lies. Carol, a member, is connected through it and has to notice every time.
//!
//! The proxy between Carol and the bus changes answers of the control plane, as whoever runs the server can; on the
//! data plane the server's own connection puts messages on the wire.

use crate::cast::{Cast, SUBJECT, by_handle};
use crate::stage::Stage;
use crate::talk::{HELLO, hear};
use anyhow::{Context as _, Result, ensure};
use bus_client::{Bus, Confirm, Error, ErrorKind, LogTrust, MessageRejection, Room};
use bus_testkit::{Answer, Asked};
use busauth::Identity;
use control_api::{BusRole, Log};
use room_protocol::{EpochKey, KeyContext, Op, RoomRole, SignedStatement};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Each lie and how it is noticed.
pub(crate) async fn play(stage: &mut Stage, cast: &mut Cast) -> Result<()> {
    stage.act("The server lies")?;
    let (identity, carol) =
        stage.step("Carol joins through a server that is about to lie", Box::pin(join(cast))).await?;
    stage.step("An added ghost: the server slips itself into the room's log", ghost(cast, &carol)).await?;
    stage
        .step("A forked log: the server shows Carol another history", Box::pin(fork(cast, &identity)))
        .await?;
    stage
        .step("A shortened log: the server hides the newest entries", Box::pin(rolled_back(cast, &identity)))
        .await?;
    stage
        .step("A swapped key: the server gives Carol another key for Mallory", swapped(cast, &carol))
        .await?;
    stage.step("A replayed message: the server delivers an old one again", replayed(cast)).await?;
    stage.step("A changed message: the server turns one bit", changed(cast)).await?;
    carol.shutdown().await?;
    Ok(())
}

/// A member whose control plane is the lying server.
async fn join(cast: &Cast) -> Result<(Arc<Identity>, Bus)> {
    let identity = cast.server.admit("carol", BusRole::Member).await?;
    let compared = Confirm::Fingerprint(identity.id().fingerprint());
    cast.room.add(&by_handle("carol")?, RoomRole::Owner, compared).await?;
    let bus = through_the_liar(cast, &identity).await?;
    bus.room(SUBJECT).await?;
    Ok((identity, bus))
}

/// An SDK that remembers nothing yet, connected through the proxy.
async fn through_the_liar(cast: &Cast, identity: &Arc<Identity>) -> Result<Bus> {
    let mut config = cast.server.client_config(identity);
    config.control_url = cast.server.proxy()?.url();
    Ok(Bus::connect(config).await?)
}

/// A statement that adds the ghost, signed by the ghost itself: no owner would.
async fn ghost(cast: &Cast, carol: &Bus) -> Result<()> {
    let room = carol.room(SUBJECT).await?;
    let ghost = Identity::generate();
    let state = room.state();
    let next = state.epoch().context("the room has no key")?.n + 1;
    let epoch = EpochKey::generate(&mut rand::rng()).open_epoch(&KeyContext::Room(room.id()), next);
    let card = ghost.card(None);
    let add = Op::add(&card, "ghost".parse()?, RoomRole::Reader, Some(epoch));
    let mut entries = room.log();
    entries.push(state.next_statement(add, now()).sign(&ghost));

    serve(cast, entries)?;
    let error = room.refresh().await.err().context("Carol believes in the ghost")?;
    tell_the_truth(cast)?;
    ensure!(error.kind() == ErrorKind::InvalidLog, "another error: {error}");
    ensure!(room.state().member(&ghost.id()).is_none(), "the ghost is a member");
    Ok(())
}

/// An owner's key signs two entries for the same place, as after a stolen backup: each is valid, both together are a fork.
async fn fork(cast: &Cast, carol: &Arc<Identity>) -> Result<()> {
    let bus = through_the_liar(cast, carol).await?;
    let room = bus.room(SUBJECT).await?;
    let mut entries = room.log();
    entries.pop();
    let before = room_protocol::RoomLog::verify(entries.iter().cloned())?;
    let update = Op::Update { name: "another history".parse()?, limits: *before.state().limits() };
    entries.push(before.state().next_statement(update, now()).sign(&cast.alice.identity));

    serve(cast, entries)?;
    noticed(&room, ErrorKind::Forked).await?;
    ensure!(matches!(room.trust(), LogTrust::Forked { .. }), "the room is still trusted");
    tell_the_truth(cast)?;
    drop(room);
    Ok(bus.shutdown().await?)
}

/// The server offers less than Carol has seen: a removal could be hidden that way.
async fn rolled_back(cast: &Cast, carol: &Arc<Identity>) -> Result<()> {
    let bus = through_the_liar(cast, carol).await?;
    let room = bus.room(SUBJECT).await?;
    let mut entries = room.log();
    entries.pop();

    serve(cast, entries)?;
    noticed(&room, ErrorKind::RolledBack).await?;
    ensure!(matches!(room.trust(), LogTrust::RolledBack { .. }), "the room is still trusted");
    tell_the_truth(cast)?;
    drop(room);
    Ok(bus.shutdown().await?)
}

/// The SDK looks at the log, and then refuses to send.
async fn noticed(room: &Room, kind: ErrorKind) -> Result<()> {
    // Looking may fail already; what counts is that nothing is sent any more.
    drop(room.refresh().await);
    let error = room.publish("does anybody notice?").await.err().context("the SDK went on sending")?;
    ensure!(error.kind() == kind, "another error: {error}");
    Ok(())
}

/// The exchange key of somebody who is to be added is replaced with one that the server can open.
async fn swapped(cast: &Cast, carol: &Bus) -> Result<()> {
    let room = carol.room(SUBJECT).await?;
    let server_key = Identity::generate().exchange_key();
    cast.server.proxy()?.tell(move |asked: &Asked, answer: Answer| {
        if !asked.path().starts_with("/v1/users") {
            return answer;
        }
        answer.map_json(|json| {
            if let Some(users) = json["users"].as_array_mut() {
                for user in users {
                    user["exchange"] = server_key.to_string().into();
                }
            }
        })
    });
    let compared = Confirm::Fingerprint(cast.mallory.identity.id().fingerprint());
    let outcome = room.add(&by_handle("mallory")?, RoomRole::Reader, compared).await;
    tell_the_truth(cast)?;
    let error: Error = outcome.err().context("Carol sealed the room's key to the server")?;
    ensure!(error.kind() == ErrorKind::KeySwapped, "another error: {error}");
    Ok(())
}

/// The bytes of an earlier message, delivered once more.
async fn replayed(cast: &mut Cast) -> Result<()> {
    cast.room.publish(HELLO).await?;
    hear(&mut cast.bobs_messages).await?;
    let message = cast.tap.next().await?;
    cast.tap.put(&message).await?;
    cast.tap.next().await?;
    rejected(cast, &MessageRejection::Replayed).await
}

/// One bit of a new message's ciphertext is turned.
async fn changed(cast: &mut Cast) -> Result<()> {
    let mut message = cast.tap.seen().last().context("nothing passed")?.clone();
    let mut payload = message.payload.to_vec();
    *payload.last_mut().context("an empty message")? ^= 1;
    message.payload = payload.into();
    cast.tap.put(&message).await?;
    cast.tap.next().await?;
    rejected(cast, &MessageRejection::BadSignature).await
}

/// Bob's SDK hands over an error in the message's place.
async fn rejected(cast: &mut Cast, because: &MessageRejection) -> Result<()> {
    let next = cast.bobs_messages.next().await.context("the subscription has ended")?;
    let error = next.err().context("Bob takes the message for a good one")?;
    ensure!(error.rejection() == Some(because), "another error: {error}");
    Ok(())
}

/// From now on this is the room's log, whatever the store says.
fn serve(cast: &Cast, entries: Vec<SignedStatement>) -> Result<()> {
    let head = room_protocol::Head {
        seq: entries.len() as u64,
        hash: entries.last().context("an empty log")?.hash(),
    };
    cast.server.proxy()?.tell(move |asked: &Asked, answer: Answer| {
        if !asked.reads_log() {
            return answer;
        }
        let from =
            asked.query().and_then(|query| query.split('&').find_map(|part| part.strip_prefix("from=")));
        let skip = from.and_then(|from| from.parse::<usize>().ok()).unwrap_or(1).saturating_sub(1);
        let entries = entries.iter().skip(skip).map(|entry| entry.as_str().to_owned()).collect();
        let log = Log { entries, head };
        answer.map_json(|json| {
            if let Ok(told) = serde_json::to_value(&log) {
                *json = told;
            }
        })
    });
    Ok(())
}

fn tell_the_truth(cast: &Cast) -> Result<()> {
    cast.server.proxy()?.tell_the_truth();
    Ok(())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
