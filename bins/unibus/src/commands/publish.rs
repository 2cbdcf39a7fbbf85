//! `unibus pub ROOM [TEXT|-]`

use crate::arguments::Global;
use crate::failure::{Code, Failure};
use crate::output::{Output, Paint, Show};
use crate::session;
use anyhow::{Context as _, Result};
use bus_client::{Event, Events, History, MessageId, Room};
use serde::Serialize;
use std::io::{IsTerminal as _, Read as _};
use std::time::Duration;

/// What to publish where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// The message; `-` or nothing reads it from the standard input.
    text: Option<String>,
    /// Below the room's subject, for example `north.temperature`.
    #[arg(long, value_name = "SUBJECT")]
    on: Option<String>,
    /// Publish each line of the standard input as a message of its own.
    #[arg(long, conflicts_with = "text")]
    lines: bool,
}

#[derive(Serialize)]
struct Published {
    room: String,
    id: String,
}

impl Show for Published {
    fn text(&self, _paint: Paint) -> String {
        self.id.clone()
    }
}

/// Where messages are kept, each is stored when this returns.
async fn publish(room: &Room, on: Option<&str>, message: Vec<u8>) -> Result<MessageId, bus_client::Error> {
    match (on, room.state().history()) {
        (Some(subject), History::None) => room.publish_on(subject, message).await,
        (None, History::None) => room.publish(message).await,
        (Some(subject), History::Shared) => Ok(room.publish_stored_on(subject, message).await?.0),
        (None, History::Shared) => Ok(room.publish_stored(message).await?.0),
    }
}

/// Runs the command. In text form it says nothing: the message is out when the command ends well.
pub(crate) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    let messages = messages(&arguments)?;
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let mut events = session.bus.events();
        for message in messages {
            let id = publish(&room, arguments.on.as_deref(), message).await?;
            if output.is_json() {
                output.show(&Published { room: room.id().to_string(), id: id.to_string() })?;
            }
        }
        room.flush().await?;
        match refusal(&mut events).await {
            Some(detail) => Err(Failure::new(Code::NotAllowed, format!("the bus refused: {detail}")).into()),
            None => Ok(()),
        }
    })
    .await
}

/// What the bus refused up to now; the flush before has made sure that it has said so.
async fn refusal(events: &mut Events) -> Option<String> {
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        if let Event::Refused { detail } = event {
            return Some(detail);
        }
    }
    None
}

fn messages(arguments: &Arguments) -> Result<Vec<Vec<u8>>> {
    if let Some(text) = arguments.text.as_deref().filter(|text| *text != "-") {
        return Ok(vec![text.as_bytes().to_vec()]);
    }
    let mut input = std::io::stdin().lock();
    if arguments.text.is_none() && input.is_terminal() {
        let text = "nothing to publish: give the text, or `-` to type it and end with ctrl-d";
        return Err(Failure::new(Code::Usage, text).into());
    }
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).context("cannot read the standard input")?;
    if arguments.lines {
        return Ok(bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect());
    }
    Ok(vec![bytes])
}
