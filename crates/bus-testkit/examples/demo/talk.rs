//! Alice and Bob talk.

use crate::cast::Cast;
use crate::stage::Stage;
use anyhow::{Context as _, Result, ensure};
use bus_client::{Message, Room, Subscription, Trust};

/// What Alice says.
pub(crate) const HELLO: &str = "the reactor is at 21.5 degrees";
/// What Bob answers.
pub(crate) const ANSWER: &str = "open the valve by two turns";

/// Messages both ways.
pub(crate) async fn play(stage: &mut Stage, cast: &mut Cast) -> Result<()> {
    stage.act("Two people talk")?;
    let said = say(&cast.room, HELLO, &mut cast.bobs_messages, "alice");
    stage.step("Alice says something; Bob decrypts it and knows that she wrote it", said).await?;
    let said = say(&cast.bobs_room, ANSWER, &mut cast.alices_messages, "bob");
    stage.step("Bob answers; Alice decrypts it and knows that he wrote it", said).await?;
    // Both passed through the server.
    for _ in 0..2 {
        cast.tap.next().await?;
    }
    Ok(())
}

/// Says something and reads it on the other side.
pub(crate) async fn say(room: &Room, words: &str, heard: &mut Subscription, by: &str) -> Result<()> {
    room.publish(words.to_owned()).await?;
    let message = hear(heard).await?;
    ensure!(&message.payload[..] == words.as_bytes(), "other words were heard");
    ensure!(message.trust == Trust::Verified, "nobody knows who wrote it");
    ensure!(message.handle.as_ref().is_some_and(|handle| handle.as_str() == by), "somebody else wrote it");
    Ok(())
}

/// The next message, which must be a good one.
pub(crate) async fn hear(messages: &mut Subscription) -> Result<Message> {
    Ok(messages.next().await.context("the subscription has ended")??)
}
